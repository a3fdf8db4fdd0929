"""The optimizers that `train.optimizer` names, and the learning rate of each update."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

BETAS, EPSILON = (0.9, 0.999), 1e-8


class TransformersAdamW(torch.optim.Optimizer):
    """AdamW as transformers had it until version 4, and with it the authors' code.

    With the moments m and v of update t, it moves by lr · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε): ε is added before the
    bias of v is corrected, where torch adds it after, so that gradients that are small beside ε / √(1 - β₂ᵗ), 3e-7 in
    the first update, move a weight by less than there. The decay acts behind the step.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; each counts its own updates."""
        for group in self.param_groups:
            lr, decay = group["lr"], group["weight_decay"]
            for p in (parameter for parameter in group["params"] if parameter.grad is not None):
                state = self.state[p]
                if not state:
                    state |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                state["step"] += 1
                state["exp_avg"].lerp_(p.grad, 1 - BETAS[0])
                state["exp_avg_sq"].mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
                corrected = lr * (1 - BETAS[1] ** state["step"]) ** 0.5 / (1 - BETAS[0] ** state["step"])
                p.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt().add_(EPSILON), value=-corrected)
                if decay:
                    p.mul_(1 - lr * decay)


def optimizer(name: str, parameters: Mapping[str, torch.nn.Parameter], lr: float, weight_decay: float) -> Any:
    """The optimizer `name` (adamw: torch's; adamw_transformers) over all parameters, closed layers' too."""
    trained = parameters.values()
    if name == "adamw_transformers":
        return TransformersAdamW(trained, lr, weight_decay)
    return torch.optim.AdamW(trained, lr=lr, betas=BETAS, eps=EPSILON, weight_decay=weight_decay, fused=True)


def learning_rate(peak: float, schedule: str, update: int, updates: int, warmup: int = 0) -> float:
    """The rate of the 1-based `update` as in transformers' schedules: up from 0 in the first, linearly, to `peak` in
    update `warmup` + 1; then constant, or falling linearly to 0 after the last of `updates`."""
    if update <= warmup:
        return peak * (update - 1) / warmup
    return peak if schedule == "constant" else peak * (updates - update + 1) / (updates - warmup)
