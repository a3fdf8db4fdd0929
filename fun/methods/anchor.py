"""Regularizers that hold the encoder near its pretrained weights θ*: λ/2 Σ_i w_i (θ_i - θ*_i)².

Equations 1 and 2 of "Frustratingly Simple Regularization to Improve Zero-shot Cross-lingual Robustness". The penalty is
part of the loss, not decoupled: its gradient goes through clipping and Adam like that of the loss.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fun.errors import ConfigError
from fun.fisher.totals import pieces
from fun.methods.base import Method, MethodChoice

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fun.config import RunConfig


class Anchored(Method):
    """Adds λ w (θ - θ*) to the gradient of `parameters`, whose values now are θ*.

    `strength` is λ; `weights` w has each parameter's shape, None: 1 everywhere.
    """

    def __init__(
        self, parameters: "Mapping[str, nn.Parameter]", strength: float, weights: "Mapping[str, Tensor] | None" = None
    ) -> None:
        self.parameters = parameters
        self.anchors = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self.strength = strength
        self.weights = weights

    def add_gradient(self, update: int) -> None:
        """See Method."""
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                for gradient, (_, pull) in zip(pieces(parameter.grad), self._pulls(name), strict=True):
                    gradient.add_(pull, alpha=self.strength)

    def logged(self) -> dict[str, float]:
        """‖θ - θ*‖, and the penalty, which is no part of the logged loss."""
        squared = penalty = 0.0
        for name in self.parameters:
            for moved, pull in self._pulls(name):
                squared += moved.double().square().sum().item()
                penalty += (moved.double() * pull).sum().item()
        return {"distance": squared**0.5, "penalty": self.strength / 2 * penalty}

    def _pulls(self, name: str) -> "Iterator[tuple[Tensor, Tensor]]":
        """θ - θ* and w (θ - θ*), piece by piece."""
        parameter, anchor = self.parameters[name], self.anchors[name]
        weights = pieces(self.weights[name]) if self.weights is not None else repeat(None, len(pieces(anchor)))
        for now, before, weight in zip(pieces(parameter), pieces(anchor), weights, strict=True):
            moved = now - before
            yield moved, moved if weight is None else moved * weight


@dataclass(frozen=True, kw_only=True)
class Anchoring(MethodChoice):
    """What holds weights near their pretrained values."""

    holds: ClassVar[tuple[str, ...]] = ("θ*",)

    strength: Annotated[float, Field(ge=0)]
    """λ."""

    @property
    def label(self) -> str:
        """See MethodChoice."""
        return "-".join([self.name, *self.fishers, f"lambda{self.strength:g}"])

    def check(self, config: "RunConfig") -> None:
        """See Choice."""
        if self.strength == 0:
            raise ConfigError("regularizer.strength=0 adds nothing to the gradient: type regularizer=none")
        if not config.adapter.pretrained:
            raise ConfigError(
                f"regularizer={self.name} holds the encoder near its pretrained weights, and adapter="
                f"{config.adapter.name} does not fine-tune it: type adapter=full, or regularizer=none"
            )
        if config.train.weight_decay:
            raise ConfigError(
                f"train.weight_decay={config.train.weight_decay:g} draws towards 0 what regularizer={self.name} holds "
                "near its pretrained value: type train.weight_decay=0"
            )
