"""One layer more every k updates: which one is what these schedules differ in (FUN, sections 3.2 and 4.2)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fun.unfreezing.schedules.base import Moment, Stepwise, register


@register("gu")
@dataclass(frozen=True)
class GradualUnfreezing(Stepwise):
    """GU: top-down, L-1, L-2, … 0 (Howard and Ruder, 2018)."""

    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        return closed[-1]


@register("rev")
@dataclass(frozen=True)
class ReverseUnfreezing(Stepwise):
    """Bottom-up (Table 12): 0, 1, … after the first opening."""

    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        return closed[0]


@register("rand")
@dataclass(frozen=True)
class RandomUnfreezing(Stepwise):
    """A random closed layer, drawn from (seed, opening number) alone: no state, no shared random stream."""

    chosen_in_training = True

    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        return random.Random(f"unfreezing/rand/{moment.seed}/{number}").choice(closed)


@register("fun")
@dataclass(frozen=True)
class FisherUnfreezing(Stepwise):
    """FUN: the closed layer with the largest tr(F); ties go to the higher layer (section 3.2)."""

    chosen_in_training = True

    def needs_scores(self, moment: Moment) -> bool:
        done, due = len(moment.opened) or int(self.first == "top"), self.openings_due(moment.layers)
        # The last closed layer needs no scores: there is nothing to choose.
        return done < moment.layers - 1 and due[done] <= moment.update

    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        if len(closed) == 1:
            return closed[0]
        return max(closed, key=lambda layer: (moment.scores[layer], layer))


@register("fixed")
@dataclass(frozen=True)
class FixedOrder(Stepwise):
    """Layer L-1, then the rest in a given order (the ten schedules of Figure 4)."""

    order: tuple[int, ...] = ()
    """A permutation of 0 … L-2, or of all layers with first=select."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.order, str | int) or not all(type(layer) is int for layer in self.order):
            raise ValueError(
                f"schedule.order is {self.order!r}; expected a list of layers such as [10,9,8,7,6,5,4,3,2,1,0]"
            )
        object.__setattr__(self, "order", tuple(self.order))

    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        given = 1 if self.first == "top" else 0
        expected = list(range(moment.layers - given))
        if sorted(self.order) != expected:
            raise ValueError(
                f"schedule.order is {list(self.order)}; expected a permutation of {expected}: "
                f"type schedule.order={str(expected[::-1]).replace(' ', '')}"
            )
        return self.order[number - given]
