"""The moments of an update at which a method acts, and the choices that become methods.

before_update → parts forward and backward → unscale → add_gradient → finite? → mask_gradient → clip → step
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fun.registry import Choice, Registry
from fun.unfreezing import Stage
from fun.unfreezing.unfreezer import Unfreezer

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel

REGULARIZERS = Registry("regularizer")
MASKS = Registry("mask")


class Method:
    """Acts on the updates of one run. Updates are 1-based, epochs 0-based; a method overrides the moments it needs.

    No checkpoint holds anything of it: what it does follows from what it was built with, the weights and the position.
    """

    def before_update(self, update: int, epoch: int) -> None:
        """Before the forward pass."""

    def add_gradient(self, update: int) -> None:
        """Add to the gradient of the loss, in place: to that of parameters that have one, for the others are closed."""

    def mask_gradient(self, update: int, epoch: int) -> None:
        """Multiply the gradient, in place. It is finite, and will be clipped by its norm behind this."""

    def logged(self) -> dict[str, float]:
        """What the step log says of it beside the validation metrics, by name."""
        return {}


class Unfreezing(Method):
    """The first method of every run: lets `unfreezer` open and close layers, and tells `begun` of every new stage."""

    def __init__(self, unfreezer: Unfreezer, begun: Callable[[Stage], None]) -> None:
        self.unfreezer, self.begun = unfreezer, begun

    def before_update(self, update: int, epoch: int) -> None:
        if stage := self.unfreezer.before_update(update, epoch):
            self.begun(stage)


class MethodChoice(Choice, ABC):
    """What `regularizer=` or `mask=` names."""

    holds: ClassVar[tuple[str, ...]] = ()
    """What it holds beside the weights, each once for every number that trains, in fp32."""

    @property
    def label(self) -> str:
        """What the run's name for people says of it."""
        return self.name

    @property
    def fishers(self) -> Mapping[str, str]:
        """Language -> the origin of the diagonal Fisher that it reads: train, or run:<run_id>."""
        return {}

    def check_epochs(self, epochs: int) -> None:
        """Raise ConfigError, with the remedy, where it has no meaning in a training of so many epochs."""

    @abstractmethod
    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Method | None:
        """The method for `model`, which still has its initial weights, if there is anything to do. `fishers` maps each
        language of `self.fishers` to its file; training has `epochs`, the last perhaps cut short."""


@REGULARIZERS.register("none")
@MASKS.register("none")
@dataclass(frozen=True)
class Without(MethodChoice):
    """The gradient of the loss, as it is."""

    @property
    def label(self) -> str:
        return ""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> None:
        return None
