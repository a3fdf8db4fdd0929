"""The numbers of a table: averages over languages, then mean and std over replicates, never over a gap."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fun.results import Record
from reproduce.declare.papers import AVERAGE, LOWEST, SOURCE, Place, Rank, Target
from reproduce.declare.published import Number, Published
from reproduce.runs.store import Found, Results, value

DECIMALS = 2


@dataclass(frozen=True)
class Statistic:
    """One value in percent per declared replicate, None where the run or a language of it is absent."""

    values: tuple[float | None, ...]

    @property
    def declared(self) -> int:
        return len(self.values)

    @cached_property
    def present(self) -> tuple[float, ...]:
        return tuple(v for v in self.values if v is not None)

    @property
    def n(self) -> int:
        return len(self.present)

    @property
    def complete(self) -> bool:
        return self.n == self.declared

    @property
    def mean(self) -> float | None:
        """Over all declared replicates; None for an incomplete set."""
        return statistics.fmean(self.present) if self.complete else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (ddof 1); None for an incomplete set and for one replicate."""
        return statistics.stdev(self.present) if self.complete and self.n > 1 else None


@dataclass(frozen=True)
class Cell:
    """A number of a table beside the published one.

    `language`: the one measured, empty for an average, None where the lowest language is not known yet; then
    there is no statistic. `notes` are about our number, `errata` about the published one.
    """

    language: str | None
    statistic: Statistic | None
    rank: Rank | None
    published: Number | None
    notes: tuple[str, ...]
    errata: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A target's table, filled: every number by its place."""

    target: Target
    cells: Mapping[Place, Cell]
    headings: Mapping[str, tuple[str, ...]]  # dataset -> errata of all that is printed for it

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """The notes that every cell with a number of ours has: they are said once."""
        noted = [cell.notes for cell in self.cells.values() if cell.statistic and cell.statistic.n]
        return tuple(note for note in noted[0] if all(note in notes for notes in noted)) if noted else ()

    @property
    def complete(self) -> int:
        """How many numbers have all their replicates."""
        return sum(cell.statistic is not None and cell.statistic.complete for cell in self.cells.values())


def fill(target: Target, results: Results, published: Published) -> Grid:
    """Compute every number of a target's table from what was found on disk."""
    runs = {place: records(target, results, place) for place in target.places()}
    languages = {place: _languages(target, results, place) for place in target.places()}
    measured = {place: statistic(runs[place], place, found) for place, found in languages.items() if found}
    ranks = _ranks(target, measured)
    cells = {}
    for place in target.places():
        over_targets = target.table.over(place.column) == AVERAGE
        cells[place] = Cell(
            language="" if over_targets else next(iter(languages[place]), None),
            statistic=measured.get(place),
            rank=ranks.get(place),
            published=published.number(target, place),
            notes=notes_on(runs[place]) if place in measured else (),
            errata=published.errata(target, place),
        )
    headings = {dataset: published.dataset_errata(target, dataset) for dataset in target.datasets}
    return Grid(target, cells, headings)


def records(target: Target, results: Results, place: Place) -> list[Record | None]:
    """The records behind a cell, one per declared replicate, None where there is none."""
    runs = target.table.runs(place.panel, place.row, target.datasets[place.dataset], place.column)
    found = (results[run] for run in runs)
    return [result.record if isinstance(result, Found) else None for result in found]


def statistic(runs: Sequence[Record | None], place: Place, languages: Sequence[str]) -> Statistic:
    """The average over languages within each replicate; a replicate with a language absent has no value."""
    return Statistic(
        tuple(None if run is None else average(run, place.dataset, languages, place.metric) for run in runs)
    )


def average(run: Record, dataset: str, languages: Sequence[str], metric: str) -> float | None:
    """A run's average over languages, in percent; None where one of them is absent."""
    values = [value(run, dataset, language, metric) for language in languages]
    present = [v for v in values if v is not None]
    return statistics.fmean(present) if len(present) == len(values) else None


def lowest_language(target: Target, results: Results, place: Place) -> str | None:
    """The target language with the lowest mean, by the main metric, that a `lowest` column shows at a place.

    Lowest in the table's `lowest` row or, where the dataset is declared so, in the place's own row. None unless
    that row is complete in every target language. Of equal languages the first declared.
    """
    table, declared = target.table, target.datasets[place.dataset]
    row = place.row if place.dataset in table.own_lowest or table.lowest is None else table.lowest
    deciding = replace(place, row=row, metric=declared.main_metric)
    runs = records(target, results, deciding)
    means = {language: statistic(runs, deciding, [language]).mean for language in declared.targets}
    known = {language: mean for language, mean in means.items() if mean is not None}
    return min(known, key=known.__getitem__) if len(known) == len(means) else None


def ranking(means: Mapping[str, float | None]) -> dict[str, Rank]:
    """Best and second best by the printed number; equal prints share a rank. None takes no part.

    One number alone is not the best of anything.
    """
    printed = {row: round(mean, DECIMALS) for row, mean in means.items() if mean is not None}
    if len(printed) < 2:
        return {}
    order = sorted(set(printed.values()), reverse=True)
    ranks = dict(zip(order, Rank, strict=False))
    return {row: ranks[mean] for row, mean in printed.items() if mean in ranks}


def _languages(target: Target, results: Results, place: Place) -> tuple[str, ...]:
    """What a number is over; nothing where the lowest language is not known yet."""
    dataset = target.datasets[place.dataset]
    over = target.table.over(place.column)
    if over == LOWEST:
        language = lowest_language(target, results, place)
        return () if language is None else (language,)
    return {SOURCE: (dataset.source,), AVERAGE: dataset.targets}.get(over, (over,))


def _ranks(target: Target, measured: Mapping[Place, Statistic]) -> dict[Place, Rank]:
    columns: dict[Place, dict[str, Place]] = {}
    for place in measured:
        if place.column in target.table.ranked:
            columns.setdefault(replace(place, row=""), {})[place.row] = place
    ranks: dict[Place, Rank] = {}
    for places in columns.values():
        ranked = ranking({row: measured[place].mean for row, place in places.items()})
        ranks |= {places[row]: rank for row, rank in ranked.items() if rank in target.table.ranks}
    return ranks


def notes_on(runs: Iterable[Record | None]) -> tuple[str, ...]:
    present = [run for run in runs if run is not None]
    notes = []
    versions = sorted({version for run in present for version in _code_versions(run)})
    if len(versions) > 1:
        notes.append(f"mixes code versions {', '.join(versions)}")
    semantics = sorted({run.semantics for run in present})
    if len(semantics) > 1:
        notes.append(f"mixes semantics numbers {', '.join(map(str, semantics))}")
    marks = sorted({mark for run in present for mark in run.marks})
    if marks:
        notes.append(f"from records marked {', '.join(marks)}")
    return tuple(notes)


def _code_versions(run: Record) -> set[str]:
    """The code that trained the run, by all its attempts, and that which evaluated it on further languages later."""
    own = run.environment
    environments = [*own.get("code", [own]), own.get("further_evaluation", own)]
    return {
        f"{found['git_sha'][:10] if found['git_sha'] else 'unknown'}{' with changes' if found['git_dirty'] else ''}"
        for found in environments
    }
