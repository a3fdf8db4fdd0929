"""Unfreezing schedules as pure functions of the moment (FUN, Algorithm 1; section 4.2 for the baselines).

Layers are numbered 0 … L-1 from bottom to top. Updates are 1-based: a layer that opens at update n receives its
first gradient in update n. The head trains always and is no layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar


@dataclass(frozen=True)
class Stage:
    """From `update` until the next stage, the layers of `open` train; the first begins at update 1. `scores` is tr(F)
    per layer, where they were chosen by it."""

    update: int
    open: frozenset[int]
    scores: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """`open` ascending; the layers of `scores` as text."""
        scores = {str(layer): score for layer, score in self.scores.items()}
        return {"update": self.update, "open": sorted(self.open), "scores": scores}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` wrote, whatever else was noted beside it."""
        scores = {int(layer): score for layer, score in values["scores"].items()}
        return cls(values["update"], frozenset(values["open"]), scores)


@dataclass(frozen=True)
class Change:
    """What is known before training of the stage that begins at `update`: the layers that open and close there, from
    top to bottom; none where they are chosen while training."""

    update: int
    opened: tuple[int, ...]
    closed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Moment:
    """All that a schedule may look at when it is asked about `update`, which is about to be made: its epoch, from 0; L;
    the run's seed; the stages before it, oldest first; and tr(F) per layer, if the schedule asked for it."""

    update: int
    epoch: int
    layers: int
    seed: int
    history: tuple[Stage, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)

    @property
    def opened(self) -> frozenset[int]:
        """Every layer that was open in some earlier stage."""
        return frozenset().union(*(stage.open for stage in self.history))


class Schedule(ABC):
    """Answers one question: which layers are open in update n? The answer is a function of the moment alone, and may
    close layers again. `name` is what it is registered under."""

    name: ClassVar[str] = ""
    by_epoch: ClassVar[bool] = False
    """Whether stages begin with epochs, however many updates these have."""

    @abstractmethod
    def open_layers(self, moment: Moment) -> frozenset[int]:
        """The layers that train in `moment.update`."""

    def needs_scores(self, moment: Moment) -> bool:
        """Whether `open_layers` wants tr(F) at this moment. Scores cost a pass over up to 41 batches."""
        return False

    @property
    def chooses_by_scores(self) -> bool:
        """Whether the schedule ever asks for tr(F)."""
        return type(self).needs_scores is not Schedule.needs_scores

    def turns(self, layers: int, updates: int, per_epoch: int) -> Iterable[int]:
        """The updates at which the answer may change, ascending from 1: each, unless a schedule knows better."""
        return range(1, updates + 1)

    def planned(self, layers: int, updates: int, per_epoch: int) -> list[Change]:
        """The changes known before training of `updates` updates, `per_epoch` of them in an epoch. A schedule that
        reads the seed or scores says its plan itself."""
        changes: list[Change] = []
        stages: tuple[Stage, ...] = ()
        now: frozenset[int] = frozenset()
        for update in self.turns(layers, updates, per_epoch):
            before, now = now, self.open_layers(Moment(update, (update - 1) // per_epoch, layers, 0, stages))
            if now != before:
                changes.append(Change(update, descending(now - before), descending(before - now)))
            if now != before or update == 1:
                stages += (Stage(update, now),)
        return changes


SCHEDULES: dict[str, type[Schedule]] = {}

S = TypeVar("S", bound=type[Schedule])


def register(name: str) -> Callable[[S], S]:
    """Class decorator: make a schedule known under `name` (the name of its file in conf/schedule/)."""

    def add(schedule: S) -> S:
        if name in SCHEDULES:
            raise ValueError(f"schedule {name!r} is registered twice: {SCHEDULES[name]} and {schedule}")
        schedule.name = name
        SCHEDULES[name] = schedule
        return schedule

    return add


@dataclass(frozen=True)
class Stepwise(Schedule):
    """One layer more every k updates (Algorithm 1). A subclass says which: `select`.

    The m-th opening (m = 1, 2, …) trains from update (m + delay)·k + offset. The paper's text is delay 0, offset 1
    ("after k updates"); the authors' code opens one update earlier (offset 0), and its GU one interval later (delay 1).
    """

    k: int
    """Updates between openings."""
    delay: int = 0
    """Whole intervals to wait before the first opening."""
    offset: int = 1
    """1: an opening takes effect after k updates; 0: one update earlier."""
    first: str = "top"
    """top: the highest layer trains from update 1 (footnote 9, and the code); select: the schedule chooses that too."""

    chosen_in_training: ClassVar[bool] = False
    """True if `select` depends on the seed or on scores, so that a plan cannot name the layer."""

    def __post_init__(self) -> None:
        check_int("schedule.k", self.k, 1)
        check_int("schedule.delay", self.delay, 0)
        check_int("schedule.offset", self.offset, 0)
        if self.first not in ("top", "select"):
            raise ValueError(f"schedule.first is {self.first!r}; expected top or select")

    @abstractmethod
    def select(self, closed: Sequence[int], number: int, moment: Moment) -> int:
        """SELECT of Algorithm 1: one of the `closed` layers (ascending), for opening `number` (0 = first)."""

    def openings_due(self, layers: int) -> list[int]:
        """The update of each opening, by opening number 0 … L-1; several may share one update."""
        return [1] + [(m + self.delay) * self.k + self.offset for m in range(1, layers)]

    def open_layers(self, moment: Moment) -> frozenset[int]:
        opened = set(moment.opened)
        due = [update for update in self.openings_due(moment.layers) if update <= moment.update]
        for number in range(len(opened), len(due)):
            closed = [layer for layer in range(moment.layers) if layer not in opened]
            top = number == 0 and self.first == "top"
            opened.add(closed[-1] if top else self.select(closed, number, moment))
        return frozenset(opened)

    def turns(self, layers: int, updates: int, per_epoch: int) -> Iterable[int]:
        """All openings, also those behind the last of `updates` updates."""
        return sorted(set(self.openings_due(layers)))

    def planned(self, layers: int, updates: int, per_epoch: int) -> list[Change]:
        if not self.chosen_in_training:
            return super().planned(layers, updates, per_epoch)
        top = (layers - 1,) if self.first == "top" else ()
        return [Change(update, top if update == 1 else ()) for update in self.turns(layers, updates, per_epoch)]


def descending(layers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(layers, reverse=True))


def layers_text(layers: Set[int]) -> str:
    """Open layers for people: 11-8, or 11,3,0, or head."""
    ordered = descending(layers)
    if len(ordered) > 1 and ordered[0] - ordered[-1] == len(ordered) - 1:
        return f"{ordered[0]}-{ordered[-1]}"
    return ",".join(map(str, ordered)) or "head"


def check_int(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least {least}")
