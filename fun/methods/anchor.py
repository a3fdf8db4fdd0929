"""L2 and EWC (elastic weight consolidation) hold the encoder near its pretrained weights θ*: λ/2 Σ_i w_i (θ_i - θ*_i)².

Equations 1 and 2 of "Frustratingly Simple Regularization to Improve Zero-shot Cross-lingual Robustness". The penalty is
part of the loss, not decoupled: its gradient goes through clipping and Adam like that of the loss.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fun.errors import ConfigError
from fun.methods.base import REGULARIZERS, Method, MethodChoice
from fun.models.blocks import pieces

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fun.config import RunConfig
    from fun.models.task_model import TaskModel


class Anchored(Method):
    """Adds λ w (θ - θ*) to the gradient of `parameters`, whose values now are θ*; λ is `strength`, w `weights` or 1."""

    def __init__(
        self, parameters: "Mapping[str, nn.Parameter]", strength: float, weights: "Mapping[str, Tensor] | None" = None
    ) -> None:
        self.parameters, self.strength, self.weights = parameters, strength, weights
        self.anchors = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def add_gradient(self, update: int) -> None:
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


@REGULARIZERS.register("l2")
@dataclass(frozen=True, kw_only=True)
class L2(MethodChoice):
    """λ/2 ‖θ - θ*‖² (Eq. 1): every weight is held alike."""

    holds: ClassVar[tuple[str, ...]] = ("θ*",)

    strength: Annotated[float, Field(ge=0)]
    """λ."""

    @property
    def label(self) -> str:
        return "-".join([self.name, *self.fishers, f"lambda{self.strength:g}"])

    def check(self, config: "RunConfig") -> None:
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

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Anchored:
        return Anchored(model.anchored(), self.strength)


@REGULARIZERS.register("ewc")
@dataclass(frozen=True, kw_only=True)
class Ewc(L2):
    """λ/2 Σ_i F_i (θ_i - θ*_i)² (Eq. 2), F the diagonal Fisher of languages' text under masked language modelling."""

    holds: ClassVar[tuple[str, ...]] = ("θ*", "F")

    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    """Whose Fishers are taken."""
    combine: Literal["sum", "mean"]
    """Of several Fishers; their mean at strength λ is their sum at λ by their number."""
    normalise: Literal["mean", "none"]
    """mean: each Fisher has mean 1 over the weights that are held, so that λ has the meaning of L2's; none: Eq. 2."""
    origins: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    """Language -> run:<run_id> of another task=fisher run than the default one."""

    @property
    def fishers(self) -> Mapping[str, str]:
        return {language: self.origins.get(language, "train") for language in self.languages}

    def check(self, config: "RunConfig") -> None:
        super().check(config)
        if repeated := [code for code, count in Counter(self.languages).items() if count > 1]:
            raise ConfigError(
                f"regularizer.languages has {', '.join(repeated)} more than once; expected each language once: type "
                f"regularizer.languages=[{','.join(dict.fromkeys(self.languages))}]"
            )
        for language, origin in self.origins.items():
            if language not in self.languages or not re.fullmatch(r"train|run:[0-9a-f]{16}", origin):
                raise ConfigError(
                    f"regularizer.origins.{language} is {origin!r}; expected train or run:<16 hexadecimal digits> for "
                    f"one of {', '.join(self.languages)}: type +regularizer.origins.{self.languages[0]}=run:…"
                )

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Anchored:
        from fun.fisher.diagonal import combined, normalised, read

        held, diagonals = model.anchored(), []
        for language in self.languages:
            whole, _ = read(fishers[language])
            diagonal = {name: whole[name] for name in held}
            diagonals.append(normalised(diagonal) if self.normalise == "mean" else diagonal)
        total = combined(diagonals, len(diagonals) if self.combine == "mean" else 1)
        return Anchored(held, self.strength, {name: total[name].to(held[name].device) for name in held})
