"""What is reproduced so far: verdicts counted, and how far each table and figure is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fun.results import State
from reproduce.declare.papers import Target
from reproduce.numbers.verdicts import Conclusion
from reproduce.runs.plan import Entry
from reproduce.runs.store import Found, Results
from reproduce.show.page.material import Material
from reproduce.show.page.wording import RESULTS, VERDICTS, Reading


@dataclass(frozen=True)
class Counted:
    """A verdict or a result, and how many there are."""

    text: str
    reading: Reading
    count: int


@dataclass(frozen=True)
class Progress:
    """How far a target is. Of the runs that are not done `startable` may be started unasked.

    `numbers` are all of a table's, `complete` those with all their runs. Of a table of settings they are the printed
    values, and those that ours equal.
    """

    name: str
    title: str
    done: int
    needed: int
    startable: int
    complete: int
    numbers: int
    verdicts: tuple[tuple[str, Reading, int], ...]

    @property
    def share(self) -> float:
        """Of its runs, in percent."""
        return 100 * self.done / self.needed if self.needed else 100.0


@dataclass(frozen=True)
class Glance:
    """The first thing that the page says. `states` counts runs that are not done, by their state."""

    done: int
    needed: int
    states: tuple[tuple[str, int], ...]
    complete: int
    numbers: int
    verdicts: tuple[Counted, ...]
    claims: tuple[tuple[Counted, int | None], ...]
    judged_on_paper: bool
    progress: tuple[Progress, ...]


def glance(material: Material) -> Glance:
    """Count what was found. A number that two tables print counts in each of them."""
    progress = tuple(_progress(material, target) for target in material.targets)
    conclusions = Counter(v.conclusion for found in material.verdicts.values() for v in found.values())
    ours = Counter(checked.ours.result for checked in material.checked)
    printed = Counter(checked.published.result for checked in material.checked if checked.published)
    on_paper = bool(material.scope.published)
    return Glance(
        done=sum(not _state(entry) for entry in material.entries),
        needed=len(material.entries),
        states=_states(material.entries),
        complete=sum(grid.complete for grid in material.grids.values()),
        numbers=sum(grid.numbers for grid in material.grids.values()),
        verdicts=tuple(Counted(c.value, VERDICTS[c], conclusions[c]) for c in Conclusion) if conclusions else (),
        claims=tuple(
            (Counted(r.value, RESULTS[r], ours[r]), printed[r] if on_paper else None)
            for r in RESULTS
            if ours[r] or printed[r]
        ),
        judged_on_paper=on_paper,
        progress=progress,
    )


def _progress(material: Material, target: Target) -> Progress:
    results = material.results[target.name]
    complete, numbers = _numbers(material, target)
    found = Counter(v.conclusion for v in material.verdicts.get(target.name, {}).values())
    return Progress(
        name=target.name,
        title=target.title,
        done=_done(results),
        needed=len(results),
        startable=sum(result.startable for result in results.values()),
        complete=complete,
        numbers=numbers,
        verdicts=tuple((c.value, VERDICTS[c], found[c]) for c in Conclusion if found[c]),
    )


def _numbers(material: Material, target: Target) -> tuple[int, int]:
    if target.name in material.grids:
        grid = material.grids[target.name]
        return grid.complete, grid.numbers
    if target.name in material.sheets:
        return material.sheets[target.name].compared
    return 0, 0


def _done(results: Results) -> int:
    return sum(isinstance(result, Found) and not result.lacks for result in results.values())


def _states(entries: Iterable[Entry]) -> tuple[tuple[str, int], ...]:
    """How many runs are not done, by their state."""
    states = Counter(map(_state, entries))
    return tuple(sorted((state, count) for state, count in states.items() if state))


def _state(entry: Entry) -> str:
    """Empty for a run that is done and has all that is needed of it."""
    if entry.state is not State.DONE:
        return entry.state.value
    return ("done but marked" if entry.option else "done but without all that is needed") if entry.reason else ""
