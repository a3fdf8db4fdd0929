"""tr(F) per layer from gradients of log p(ŷ|x): of a batch's mean (Algorithm 2), or of every example (Eq. 1).

A linear map y_t = W a_t + b sees every token t of an example. With g_t the gradient of that example's loss at y_t, its
gradients are Σ_t g_t a_tᵀ for W and Σ_t g_t for b. No example's loss reaches another example's tokens; so one backward
pass of the loss of a batch, the sum over its examples, down to the outputs y, yields the g_t of all examples.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from adapters.methods.lora import LoRA
from torch import Tensor, nn

from fun.errors import RunError
from fun.models.heads import Head, Predictive, predict
from fun.unfreezing.unfreezer import Blocks

WeightedLabels = Callable[[Predictive], Iterable[tuple[Tensor, Tensor | float]]]
"""p(y|x) of a part -> the labels ŷ [B, F] to take, each with its weight [B]."""


class Batch(Protocol):
    """`size` examples, cut into parts; a part is a tokenised batch on the model's device."""

    @property
    def size(self) -> int: ...
    @property
    def parts(self) -> Sequence[Mapping[str, Tensor]]: ...


def add(totals: dict[Any, Tensor], terms: Mapping[Any, Tensor]) -> None:
    """Add `terms` to `totals`, key by key."""
    for key, term in terms.items():
        totals[key] = totals[key] + term if key in totals else term


def mean(totals: Mapping[int, Tensor], count: int) -> dict[int, float]:
    """Each total divided by `count`. Raises RunError where `count` is 0 or a value is not finite."""
    if count == 0:
        raise RunError(
            "tr(F) was asked for on no batch; at least one is needed. "
            "Give a training set with at least one example, and fisher.batches of at least 1."
        )
    scores = {layer: float(total) / count for layer, total in totals.items()}
    for layer, score in scores.items():
        if not math.isfinite(score):
            raise RunError(
                f"tr(F) of layer {layer} is {score}; a finite number was expected. "
                f"Weights or gradients have overflowed: lower train.lr, or type precision=fp32."
            )
    return scores


@contextmanager
def undisturbed(model: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Lends `model` in eval mode, with `.grad` None everywhere and requires_grad on for `parameters`.

    On leaving, also by an exception, all is as before: modules' modes, parameters' requires_grad and `.grad`, torch's
    global random states. The paper copies the model instead (Algorithm 2, line 1).
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        try:
            model.eval()
            model.zero_grad(set_to_none=True)
            for parameter in parameters:
                parameter.requires_grad_(True)
            yield
        finally:
            for module, training in modes:
                module.training = training
            for parameter, requires_grad, gradient in flags:
                parameter.requires_grad_(requires_grad)
                parameter.grad = gradient


def unreached(name: str) -> RunError:
    """The error for a module or parameter that took no part in the forward pass."""
    return RunError(
        f"The forward pass never reached {name}, so it has no gradient. "
        f"Activate its adapter first: model.set_active_adapters(...)."
    )


def squared_mean_gradients(
    model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], nll: Callable[[Predictive], Tensor]
) -> dict[int, float]:
    """Per layer, the mean over batches of ‖∇ (1/B) Σ nll‖² / B; `nll` maps a part's p(y|x) to [B]."""
    parameters = _named(blocks)
    totals: dict[int, Tensor] = {}
    count = 0
    with undisturbed(model, parameters.values()):
        for batch in batches:
            sums: dict[str, Tensor] = {}
            for part in batch.parts:
                add(sums, _gradients(nll(predict(model, head, part)).sum(), parameters))
            for layer, block in blocks.items():
                squares = [(sums[name] / batch.size).square().sum(dtype=torch.float64) for name in block]
                add(totals, {layer: torch.stack(squares).sum() / batch.size})
            count += 1
    return mean(totals, count)


def _named(blocks: Blocks) -> dict[str, nn.Parameter]:
    return {name: parameter for block in blocks.values() for name, parameter in block.items()}


def _gradients(loss: Tensor, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            raise unreached(name)
    return dict(zip(parameters, gradients, strict=True))


def mean_squared_norms(
    model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], labels: WeightedLabels
) -> dict[int, float]:
    """Per layer, the mean over examples of E ‖∇ log p(ŷ|x)‖² (Eq. 1)."""
    totals: dict[int, Tensor] = {}
    examples = 0
    with undisturbed(model, _named(blocks).values()):
        for batch in batches:
            for part in batch.parts:
                add(totals, _part(model, head, blocks, part, labels))
            examples += batch.size
    return mean(totals, examples)


def _part(
    model: nn.Module, head: Head, blocks: Blocks, part: Mapping[str, Tensor], labels: WeightedLabels
) -> dict[int, Tensor]:
    """Per layer, E ‖∇ log p(ŷ|x)‖² summed over the part's examples."""
    with recorded(model, blocks) as sites:
        predictive = predict(model, head, part)
    totals: dict[int, Tensor] = {}
    for drawn, weight in labels(predictive):
        norms = squared_norms(predictive.nll(drawn), sites)
        add(totals, {layer: (weight * norm).sum(dtype=torch.float64) for layer, norm in norms.items()})
    return totals


@dataclass
class Site:
    """A module that owns parameters of a block, and what went in and out of its latest forward call."""

    layer: int
    path: str
    module: nn.Module
    parameters: list[str] = field(default_factory=list)  # as the module names them: weight, bias, lora_A, lora_B
    states: tuple[Tensor, Tensor] | None = None  # input and output, [rows, T, D]

    def record(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        """Forward hook. LoRA takes (previous LoRA's output or None, layer's input), returns (delta, gate).

        Raises RunError on a second call: mDeBERTa projects its relative positions, which all examples share, by the
        tokens' query and key, so that an example's part in the gradient of LoRA there is not known.
        """
        if self.states is not None:
            raise RunError(
                f"fisher=exact needs modules that a forward pass calls once, and this encoder calls {self.path} "
                "again, for its relative positions. Type fisher=algorithm2."
            )
        if isinstance(module, LoRA):
            previous, layer_input = arguments
            source, output = layer_input if previous is None else previous, output[0]
        else:
            (source,) = arguments
        self.states = source.detach(), output

    def recorded(self) -> tuple[Tensor, Tensor]:
        if self.states is None:
            raise unreached(self.path)
        return self.states


@contextmanager
def recorded(model: nn.Module, blocks: Blocks) -> Iterator[Sequence[Site]]:
    """Records the forward pass made inside the context, at every module that owns a parameter of `blocks`. Raises
    RunError if a block has a module whose per-example gradients are not known here."""
    sites: dict[str, Site] = {}
    for layer, block in blocks.items():
        for name in block:
            path, _, parameter = name.rpartition(".")
            site = sites.setdefault(path, Site(layer, path, model.get_submodule(path)))
            site.parameters.append(parameter)
    with ExitStack() as hooks:
        for path, site in sites.items():
            module = site.module
            # MTLLoRA is a subclass with other parameters; gated LoRA and DoRA multiply the delta by learned factors.
            plain_lora = type(module) is LoRA and not module.use_gating and not module.use_dora
            if not (isinstance(module, nn.Linear) or plain_lora):
                raise RunError(
                    f"fisher=exact reads linear projections (bottleneck adapters) and plain LoRA; {path} "
                    f"is another kind of {type(module).__name__}. Type fisher=algorithm2."
                )
            hooks.enter_context(module.register_forward_hook(site.record))
        yield [*sites.values()]


def squared_norms(losses: Tensor, sites: Sequence[Site]) -> dict[int, Tensor]:
    """Per layer, the squared norm of each example's gradient over the block's parameters: [B].

    `losses` [B] come from the forward pass that `sites` recorded; an example may own several consecutive rows of it
    (the choices of a multiple-choice item). The graph is kept: other losses may follow.
    """
    inputs, outputs = zip(*(site.recorded() for site in sites), strict=True)
    gradients = torch.autograd.grad(losses.sum(), outputs, retain_graph=True)
    norms: dict[int, Tensor] = {}
    with torch.no_grad():
        for site, source, gradient in zip(sites, inputs, gradients, strict=True):
            a, g = _tokens(source, len(losses)), _tokens(gradient, len(losses))
            for parameter in site.parameters:
                norms[site.layer] = norms.get(site.layer, 0) + _parameter_norms(site.module, parameter, a, g)
    return norms


def _tokens(states: Tensor, examples: int) -> Tensor:
    """[rows, T, D] as [B, S, D] in fp32 or wider: S counts all tokens of an example, over all of its rows."""
    dtype = torch.promote_types(states.dtype, torch.float32)
    return states.reshape(examples, -1, states.shape[-1]).to(dtype)


def _parameter_norms(module: Any, parameter: str, a: Tensor, g: Tensor) -> Tensor:
    """[B] squared norms for one parameter, from its module's inputs a and the gradients g at its outputs."""
    match parameter:
        case "weight":
            return _outer_norms(g, a)
        case "bias":
            return g.sum(dim=1).square().sum(dim=1)
        case "lora_A":  # the delta is scaling · B A a: two linear maps in a row
            return _outer_norms(module.scaling * g @ module.lora_B.to(g.dtype), a)
        case "lora_B":
            return _outer_norms(g, module.scaling * a @ module.lora_A.to(a.dtype).T)
        case _:
            raise AssertionError(f"{type(module).__name__} has an unknown parameter {parameter}")


def _outer_norms(g: Tensor, a: Tensor) -> Tensor:
    """‖Σ_t g_t a_tᵀ‖² for g [B, S, M], a [B, S, N]: [B]. Of two equal forms, the one with fewer products."""
    tokens, m, n = g.shape[1], g.shape[2], a.shape[2]
    if tokens * (m + n) < m * n:
        return ((g @ g.mT) * (a @ a.mT)).sum(dim=(1, 2))
    return (g.mT @ a).square().sum(dim=(1, 2))
