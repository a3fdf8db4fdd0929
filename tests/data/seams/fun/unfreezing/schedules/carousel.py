"""A toy schedule that closes layers: one at a time, another one in every epoch."""

from dataclasses import dataclass

from fun.unfreezing.schedules.base import Moment, Schedule, register


@register("carousel")
@dataclass(frozen=True)
class Carousel(Schedule):
    """From the top."""

    def open_layers(self, moment: Moment) -> frozenset[int]:
        return frozenset({moment.layers - 1 - moment.epoch % moment.layers})
