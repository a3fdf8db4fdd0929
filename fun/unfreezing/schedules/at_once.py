"""Every layer at one update: standard training, and the head first."""

from dataclasses import dataclass

from fun.unfreezing.schedules.base import Change, Moment, Schedule, check_int, register


@register("std")
@dataclass(frozen=True)
class Standard(Schedule):
    """Standard training: every layer from update 1."""

    def open_layers(self, moment: Moment) -> frozenset[int]:
        return frozenset(range(moment.layers))

    def planned(self, layers: int, updates: int, per_epoch: int) -> list[Change]:
        return self.changes([1], layers, per_epoch)


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

    def planned(self, layers: int, updates: int, per_epoch: int) -> list[Change]:
        return self.changes([1, self.k + self.offset], layers, per_epoch)
