"""What the estimators read, and how they sum up. Free of torch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from fun.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

Key = TypeVar("Key")


class Batch(Protocol):
    """`size` examples, cut into parts; a part is a tokenised batch on the model's device."""

    @property
    def size(self) -> int: ...
    @property
    def parts(self) -> Sequence[Mapping[str, "Tensor"]]: ...


def add(totals: dict[Key, "Tensor"], terms: Mapping[Key, "Tensor"]) -> None:
    """Add `terms` to `totals`, key by key."""
    for key, term in terms.items():
        totals[key] = totals[key] + term if key in totals else term


def mean(totals: Mapping[int, "Tensor"], count: int) -> dict[int, float]:
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


def pieces(tensor: "Tensor") -> "tuple[Tensor, ...]":
    """A contiguous tensor as flat views of a few megabytes, so that what is computed from one stays in the cache."""
    parts: tuple[Tensor, ...] = tensor.detach().view(-1).split(2**20)
    return parts
