"""The numbers of a table: averages over languages, then mean and std over replicates, never over a gap."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from fun.results import Record
from reproduce.papers import Column, Place, Target
from reproduce.plan import Found, Results, replicates, value
from reproduce.published import Number, Published

DECIMALS = 2


class Rank(StrEnum):
    """How a cell compares within its column and panel."""

    best = "best"
    second = "second"


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
    """A target's table, filled: every number by its place, and what its columns are called after."""

    target: Target
    cells: Mapping[Place, Cell]
    lowest: Mapping[tuple[str, str], str | None]  # (panel, dataset) -> language
    headings: Mapping[str, tuple[str, ...]]  # dataset -> errata of all that is printed for it


def fill(target: Target, results: Results, published: Published) -> Grid:
    """Compute every number of a target's table from what was found on disk."""
    lowest = {
        (panel, dataset): lowest_language(target, results, panel, dataset)
        for panel in target.table.panels
        for dataset in target.datasets
    }
    languages = {place: _languages(target, place, lowest) for place in target.places()}
    measured = {
        place: statistic(records(target, results, place), place, languages[place])
        for place in target.places()
        if languages[place]
    }
    ranks = _ranks(target, measured)
    cells = {}
    for place in target.places():
        language = "" if place.column is Column.average else next(iter(languages[place]), None)
        cells[place] = Cell(
            language=language,
            statistic=measured.get(place),
            rank=ranks.get(place),
            published=published.number(target, place),
            notes=_notes(records(target, results, place)) if place in measured else (),
            errata=published.errata(target, place),
        )
    headings = {dataset: published.dataset_errata(target, dataset) for dataset in target.datasets}
    return Grid(target, cells, lowest, headings)


def records(target: Target, results: Results, place: Place) -> list[Record | None]:
    """The records behind a cell, one per declared replicate, None where there is none."""
    found = (results[run] for run in replicates(target, place.panel, place.row, place.dataset))
    return [result.record if isinstance(result, Found) else None for result in found]


def statistic(runs: Sequence[Record | None], place: Place, languages: Sequence[str]) -> Statistic:
    """The average over languages within each replicate; a replicate with a language absent has no value."""
    return Statistic(tuple(_average(run, place, languages) for run in runs))


def _average(run: Record | None, place: Place, languages: Sequence[str]) -> float | None:
    if run is None:
        return None
    values = [value(run, place.dataset, language, place.metric) for language in languages]
    present = [v for v in values if v is not None]
    return statistics.fmean(present) if len(present) == len(values) else None


def lowest_language(target: Target, results: Results, panel: str, dataset: str) -> str | None:
    """The target language with the lowest mean in the table's `lowest` row, by the main metric.

    None unless that row is complete in every target language. Of equal languages the first declared.
    """
    declared = target.datasets[dataset]
    place = Place(panel, target.table.lowest, dataset, Column.lowest, declared.main_metric)
    runs = records(target, results, place)
    means = {language: statistic(runs, place, [language]).mean for language in declared.targets}
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


def _languages(target: Target, place: Place, lowest: Mapping[tuple[str, str], str | None]) -> tuple[str, ...]:
    dataset = target.datasets[place.dataset]
    match place.column:
        case Column.source:
            return (dataset.source,)
        case Column.average:
            return dataset.targets
        case Column.lowest:
            language = lowest[place.panel, place.dataset]
            return () if language is None else (language,)


def _ranks(target: Target, measured: Mapping[Place, Statistic]) -> dict[Place, Rank]:
    columns: dict[Place, dict[str, Place]] = {}
    for place in measured:
        if place.column in target.table.ranked:
            first = Place(place.panel, "", place.dataset, place.column, place.metric)
            columns.setdefault(first, {})[place.row] = place
    ranks: dict[Place, Rank] = {}
    for places in columns.values():
        ranked = ranking({row: measured[place].mean for row, place in places.items()})
        ranks |= {places[row]: rank for row, rank in ranked.items()}
    return ranks


def _notes(runs: Iterable[Record | None]) -> tuple[str, ...]:
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
    """The code that trained the run, and that which evaluated it on further languages later."""
    environments = [run.environment, run.environment.get("further_evaluation", run.environment)]
    return {
        f"{found['git_sha'][:10] if found['git_sha'] else 'unknown'}{' with changes' if found['git_dirty'] else ''}"
        for found in environments
    }
