"""Algorithm 2's loop: it squares the gradient of a batch's mean, not those of its examples."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from fun.fisher.per_example import unreached
from fun.fisher.totals import Batch, Blocks, add, mean, parameters_of
from fun.fisher.undisturbed import undisturbed
from fun.models.heads import Head, Predictive, predict


def squared_mean_gradients(
    model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], nll: Callable[[Predictive], Tensor]
) -> dict[int, float]:
    """Per layer, the mean over batches of ‖∇ (1/B) Σ nll‖² / B; `nll` maps a part's p(y|x) to [B]."""
    totals: dict[int, Tensor] = {}
    count = 0
    with undisturbed(model, parameters_of(blocks)):
        for batch in batches:
            sums: dict[str, Tensor] = {}
            for part in batch.parts:
                add(sums, _gradients(nll(predict(model, head, part)).sum(), blocks))
            for layer, block in blocks.items():
                squares = [(sums[name] / batch.size).square().sum(dtype=torch.float64) for name in block]
                add(totals, {layer: torch.stack(squares).sum() / batch.size})
            count += 1
    return mean(totals, count)


def _gradients(loss: Tensor, blocks: Blocks) -> dict[str, Tensor]:
    names = [name for block in blocks.values() for name in block]
    gradients = torch.autograd.grad(loss, parameters_of(blocks), allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise unreached(name)
    return dict(zip(names, gradients, strict=True))
