"""Estimators of tr(F) per block.

F is the Fisher information of the model, not the "empirical" one: labels come from p(y|x), never from the
data. A block's value sums over all of its parameters. Eq. 1 and Algorithm 2 are those of "FUN with Fisher:
Improving Generalization of Adapter-Based Cross-lingual Transfer with Scheduled Unfreezing" (NAACL 2024).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol, TypeVar, assert_never

import torch
from torch import Generator, Tensor, nn

from fun.errors import RunError
from fun.fisher.per_example import recorded, squared_norms, unreached
from fun.fisher.undisturbed import undisturbed
from fun.models.heads import Head, Predictive, predict

Blocks = Mapping[int, Mapping[str, nn.Parameter]]
Key = TypeVar("Key")


class Batch(Protocol):
    """`size` examples, cut into parts; a part is a tokenised batch on the model's device."""

    @property
    def size(self) -> int: ...
    @property
    def parts(self) -> Sequence[Mapping[str, Tensor]]: ...


class Estimator(Protocol):
    """Scores blocks by tr(F), on at most `batches` batches."""

    @property
    def batches(self) -> int: ...

    def score(
        self, model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], generator: Generator
    ) -> dict[int, float]:
        """tr(F) of each of `blocks` (layer -> full parameter name -> parameter), open or closed.

        Takes the first `self.batches` of `batches`, or all if they are fewer. `generator`, on the CPU, draws
        the labels. The model runs in eval mode and is left as it was found (`undisturbed`).

        Raises RunError if there is no batch, or if a value is not finite.
        """
        ...


@dataclass(frozen=True)
class Algorithm2:
    """Algorithm 2: squared gradient of the batch-mean NLL / batch size, labels sampled; mean over batches.

    Under sampled labels the gradients of a batch's B examples are independent with mean zero: the squared
    norm of their mean has expectation tr(F)/B, and the value tr(F)/B². So it ranks like `Exact` in
    expectation, but values at different batch sizes do not compare.
    """

    batches: int = 40

    def score(
        self, model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], generator: Generator
    ) -> dict[int, float]:
        def nll(predictive: Predictive) -> Tensor:
            return predictive.nll(predictive.sample(generator))

        return _squared_mean_gradients(model, head, blocks, islice(batches, self.batches), nll)


@dataclass(frozen=True)
class Official:
    """The authors' code: as `Algorithm2`, with the most probable label, on 41 batches.

    A different quantity in kind: these gradients do not have mean zero. The start and the end of a question
    answering window count like two examples: the mean is over 2B rows, while the divisor stays B.
    """

    batches: int = 41

    def score(
        self, model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], generator: Generator
    ) -> dict[int, float]:
        def nll(predictive: Predictive) -> Tensor:
            return predictive.nll(predictive.mode()) / len(predictive.factors)

        return _squared_mean_gradients(model, head, blocks, islice(batches, self.batches), nll)


@dataclass(frozen=True)
class Exact:
    """Eq. 1: mean over examples of ‖∇ log p(ŷ|x)‖², the gradient taken example by example.

    `labels="sampled"` draws one ŷ per example. `"expected"` sums over all classes with their probabilities:
    no label noise, but only for heads with one distribution. The log-probability of an example is one number
    before it is squared: start + end of a window, one softmax over both choices of a COPA item.
    """

    batches: int = 40
    labels: Literal["sampled", "expected"] = "sampled"

    def score(
        self, model: nn.Module, head: Head, blocks: Blocks, batches: Iterable[Batch], generator: Generator
    ) -> dict[int, float]:
        totals: dict[int, Tensor] = {}
        examples = 0
        with undisturbed(model, _parameters(blocks)):
            for batch in islice(batches, self.batches):
                for part in batch.parts:
                    _add(totals, self._part(model, head, blocks, part, generator))
                examples += batch.size
        return _mean(totals, examples)

    def _part(
        self, model: nn.Module, head: Head, blocks: Blocks, part: Mapping[str, Tensor], generator: Generator
    ) -> dict[int, Tensor]:
        """Per layer, E ‖∇ log p(ŷ|x)‖² summed over the part's examples."""
        with recorded(model, blocks) as sites:
            predictive = predict(model, head, part)
        totals: dict[int, Tensor] = {}
        for labels, weight in self._labels(predictive, generator):
            norms = squared_norms(predictive.nll(labels), sites)
            _add(totals, {layer: (weight * norm).sum(dtype=torch.float64) for layer, norm in norms.items()})
        return totals

    def _labels(self, predictive: Predictive, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """The labels ŷ [B, F] to take, each with its weight [B]."""
        match self.labels:
            case "sampled":
                labels = predictive.sample(generator)
                return iter([(labels, torch.ones(len(labels), device=labels.device))])
            case "expected":
                return predictive.entries()
            case _:
                assert_never(self.labels)


def _squared_mean_gradients(
    model: nn.Module,
    head: Head,
    blocks: Blocks,
    batches: Iterable[Batch],
    nll: Callable[[Predictive], Tensor],
) -> dict[int, float]:
    """Algorithm 2's loop: mean over batches of ‖∇ (1/B) Σ nll‖² / B; `nll` maps a part's p(y|x) to [B]."""
    totals: dict[int, Tensor] = {}
    count = 0
    with undisturbed(model, _parameters(blocks)):
        for batch in batches:
            sums: dict[str, Tensor] = {}
            for part in batch.parts:
                _add(sums, _gradients(nll(predict(model, head, part)).sum(), blocks))
            for layer, block in blocks.items():
                squares = [(sums[name] / batch.size).square().sum(dtype=torch.float64) for name in block]
                _add(totals, {layer: torch.stack(squares).sum() / batch.size})
            count += 1
    return _mean(totals, count)


def _gradients(loss: Tensor, blocks: Blocks) -> dict[str, Tensor]:
    names = [name for block in blocks.values() for name in block]
    gradients = torch.autograd.grad(loss, _parameters(blocks), allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise unreached(name)
    return dict(zip(names, gradients, strict=True))


def _parameters(blocks: Blocks) -> list[nn.Parameter]:
    return [parameter for block in blocks.values() for parameter in block.values()]


def _add(totals: dict[Key, Tensor], terms: Mapping[Key, Tensor]) -> None:
    for key, term in terms.items():
        totals[key] = totals[key] + term if key in totals else term


def _mean(totals: Mapping[int, Tensor], count: int) -> dict[int, float]:
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
