"""Some layers more in every epoch: gradual unfreezing as GradDrop's authors compare it (O'Neill and Dutta, 2023)."""

from dataclasses import dataclass
from typing import Literal

from fun.unfreezing.schedules.base import Change, Moment, Schedule, check_int, register


@register("gradfreeze")
@dataclass(frozen=True)
class GradFreeze(Schedule):
    """The first `layers_per_epoch` layers from one end train from update 1, the next ones from the next epoch on
    (section IV.1). Training need not be long enough to open all of them."""

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

    def planned(self, layers: int, updates: int, per_epoch: int) -> list[Change]:
        return self.changes(range(1, updates + 1, per_epoch), layers, per_epoch)
