"""Every layer at one update (standard training, and the head first), or some more in every epoch."""

from dataclasses import dataclass
from typing import Literal

from fun.unfreezing.schedules.base import Moment, Schedule, check_int, register


@register("std")
@dataclass(frozen=True)
class Standard(Schedule):
    """Standard training: every layer from update 1."""

    def open_layers(self, moment: Moment) -> frozenset[int]:
        return frozenset(range(moment.layers))

    def turns(self, layers: int, updates: int, per_epoch: int) -> list[int]:
        return [1]


@register("lpft")
@dataclass(frozen=True)
class LinearProbeThenFineTune(Schedule):
    """LPFT: the head alone, then every layer at once (Kumar et al., 2022), from update k + offset."""

    k: int
    """Updates of the head alone."""
    offset: int = 1
    """1: the layers open after k updates; 0: one update earlier."""

    def __post_init__(self) -> None:
        check_int("schedule.k", self.k, 1)
        check_int("schedule.offset", self.offset, 0)

    def open_layers(self, moment: Moment) -> frozenset[int]:
        return frozenset(range(moment.layers)) if moment.update >= self.k + self.offset else frozenset()

    def turns(self, layers: int, updates: int, per_epoch: int) -> list[int]:
        return [1, self.k + self.offset]


@register("gradfreeze")
@dataclass(frozen=True)
class GradFreeze(Schedule):
    """The first `layers_per_epoch` layers from one end train from update 1, the next ones from the next epoch on.

    GradDrop's authors compare it (O'Neill and Dutta, 2023, section IV.1). Training may end before all layers are open.
    """

    by_epoch = True

    layers_per_epoch: int
    """Layers that open in an epoch."""
    direction: Literal["top_down", "bottom_up"]
    """From which end."""
    toggle: bool = False
    """Whether layers close at the end of their epoch, as long as there are others to follow them (Figure 1)."""

    def __post_init__(self) -> None:
        check_int("schedule.layers_per_epoch", self.layers_per_epoch, 1)

    def open_layers(self, moment: Moment) -> frozenset[int]:
        step, layers = self.layers_per_epoch, range(moment.layers)
        begun = [*(reversed(layers) if self.direction == "top_down" else layers)][: (moment.epoch + 1) * step]
        return frozenset(begun[(len(begun) - 1) // step * step :] if self.toggle else begun)

    def turns(self, layers: int, updates: int, per_epoch: int) -> range:
        return range(1, updates + 1, per_epoch)
