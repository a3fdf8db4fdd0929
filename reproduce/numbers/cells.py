"""The numbers of a table: averages over languages, then mean and std over replicates, never over a gap; and costs."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from fun.results import Record
from reproduce.declare.parts import Run
from reproduce.declare.published import Number
from reproduce.declare.tables import LOWEST, Place, Rank, Table
from reproduce.numbers.statistics import Interval, Summary
from reproduce.runs.store import Done, Results, value

DECIMALS = 2

K = TypeVar("K")


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

    @cached_property
    def summary(self) -> Summary | None:
        """Mean and sample std (ddof 1) over all declared replicates; None for an incomplete set."""
        return Summary.of(self.present) if 0 < self.n == self.declared else None

    @property
    def mean(self) -> float | None:
        return None if self.summary is None else self.summary.mean

    @property
    def std(self) -> float | None:
        return None if self.summary is None else self.summary.std

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean; None for an incomplete set and for one replicate."""
        estimate = None if self.summary is None else self.summary.estimate
        return None if estimate is None else estimate.interval()


@dataclass(frozen=True)
class Cell:
    """A number of a table beside the published one, `notes` on ours and `errata` on that.

    `language`: the one measured, empty for an average, None where the lowest language is not known yet; then
    there is no statistic, nor is there in a quoted row.
    """

    language: str | None
    statistic: Statistic | None
    rank: Rank | None
    published: Number | None
    notes: tuple[str, ...]
    errata: tuple[str, ...]
    quoted: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of results, filled: every number by its place. `results` is what was found of its runs."""

    target: Table
    cells: Mapping[Place, Cell]
    results: Results

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """The notes that every cell with a number of ours has: they are said once."""
        noted = [cell.notes for cell in self.cells.values() if cell.statistic and cell.statistic.n]
        return tuple(note for note in noted[0] if all(note in notes for notes in noted)) if noted else ()

    @property
    def complete(self) -> int:
        """How many numbers have all their replicates."""
        return sum(bool(cell.statistic and cell.statistic.summary) for cell in self.cells.values())

    @property
    def numbers(self) -> int:
        """How many numbers are ours to make: all but the quoted ones."""
        return sum(not cell.quoted for cell in self.cells.values())


def fill(table: Table, results: Results) -> Grid:
    languages = {place: languages_at(table, results, place) for place in table.places()}
    measured = {
        place: statistic(table, results, place, over)
        for place, over in languages.items()
        if over and not table.rows[place.row].quoted
    }
    ranks, cells = _ranks(table, measured), {}
    for place, over in languages.items():
        records = (record for source in read(table, results, place) for record in source.values())
        cells[place] = Cell(
            language="" if table.over(place.column).average else next(iter(over), None),
            statistic=measured.get(place),
            rank=ranks.get(place),
            published=table.number(place),
            notes=notes_on(records) if place in measured else (),
            errata=table.errata(place),
            quoted=table.rows[place.row].quoted,
        )
    return Grid(table, cells, results)


def read(table: Table, results: Results, place: Place) -> list[dict[str, Record | None]]:
    """For each replicate of a number language -> the record, None where there is none, as `Table.sources`."""
    return [
        {language: record_of(results, run) for language, run in replicate.items()} for replicate in table.sources(place)
    ]


def statistic(table: Table, results: Results, place: Place, languages: Sequence[str]) -> Statistic:
    """The average over languages within each replicate; of a mean of data sets the mean of their own averages."""
    if mean_of := table.mean_of(place):
        over, datasets = table.over(place.column), table.paper.datasets
        each = (statistic(table, results, part, over.languages(datasets[part.dataset])).values for part in mean_of)
        together = [[value for value in values if value is not None] for values in zip(*each, strict=True)]
        return Statistic(tuple(statistics.fmean(own) if len(own) == len(mean_of) else None for own in together))
    dataset, sources = table.paper.datasets[place.dataset].reads, read(table, results, place)
    return Statistic(tuple(average(source, dataset, languages, place.metric) for source in sources))


def average(sources: Mapping[str, Record | None], dataset: str, languages: Sequence[str], metric: str) -> float | None:
    """The average over languages, each read from its record, in percent; None where one of them is absent."""
    values = [_value(sources[language], dataset, language, metric) for language in languages]
    present = [number for number in values if number is not None]
    return statistics.fmean(present) if len(present) == len(values) else None


def lacking(table: Table, results: Results, place: Place) -> list[Run]:
    """The runs that do not hold what a number needs of them, each once: the lowest language alone, if it is known."""
    lowest = languages_at(table, results, place) if table.over(place.column) == LOWEST else ()
    return [
        run.overrides
        for run in table.needed_for([place])
        if any(
            _value(record_of(results, run.overrides), dataset, language, metric) is None
            for dataset, language, metric in run.values
            if not lowest or language in lowest
        )
    ]


def languages_at(table: Table, results: Results, place: Place) -> tuple[str, ...]:
    """What a number is over; nothing where the lowest language is not known yet.

    The lowest is the target language with the lowest mean by the main metric: in the table's `lowest` row or, where
    the dataset is declared so, in the place's own. That row must be complete in every target language. Of equal
    languages the first declared.
    """
    dataset = table.datasets[place.dataset]
    if table.over(place.column) != LOWEST:
        return table.over(place.column).languages(dataset)
    deciding = table.deciding(place)
    means = {name: statistic(table, results, deciding, [name]).mean for name in dataset.targets}
    complete = {language: mean for language, mean in means.items() if mean is not None}
    return (min(complete, key=complete.__getitem__),) if len(complete) == len(means) else ()


def record_of(results: Results, run: Run) -> Record | None:
    """The record of a done run, whatever it lacks."""
    result = results[run]
    return result.record if isinstance(result, Done) else None


def _value(record: Record | None, dataset: str, language: str, metric: str) -> float | None:
    return None if record is None else value(record, dataset, language, metric)


def ranking(means: Mapping[K, float | None]) -> dict[K, Rank]:
    """Best and second best of two or more, by the printed number; equal prints share a rank. None takes no part."""
    printed = {key: round(mean, DECIMALS) for key, mean in means.items() if mean is not None}
    if len(printed) < 2:
        return {}
    ranks = dict(zip(sorted(set(printed.values()), reverse=True), Rank, strict=False))
    return {key: ranks[mean] for key, mean in printed.items() if mean in ranks}


def _ranks(table: Table, measured: Mapping[Place, Statistic]) -> dict[Place, Rank]:
    columns: dict[Place, dict[Place, float | None]] = defaultdict(dict)
    for place, own in measured.items():
        if place.column in table.ranked:
            columns[replace(place, row="")][place] = own.mean
    return {place: rank for means in columns.values() for place, rank in ranking(means).items() if rank in table.ranks}


def notes_on(records: Iterable[Record | None]) -> tuple[str, ...]:
    """What a reader must know of the records behind a number, those that are there: what they mix, and their marks."""
    behind = [record for record in records if record is not None]
    versions = sorted({version for record in behind for version in _code_versions(record)})
    semantics = sorted({record.semantics for record in behind})
    notes = [f"mixes code versions {', '.join(versions)}"] if len(versions) > 1 else []
    notes += [f"mixes semantics numbers {', '.join(map(str, semantics))}"] if len(semantics) > 1 else []
    for repository in sorted({repository for record in behind for repository in record.commits}):
        commits = {commit for record in behind for commit in record.commits.get(repository, ())}
        if len(commits) > 1:
            notes.append(f"mixes commits {', '.join(sorted(commit[:10] for commit in commits))} of {repository}")
    marks = sorted({mark for record in behind for mark in record.marks})
    return (*notes, *([f"from records marked {', '.join(marks)}"] if marks else []))


def _code_versions(record: Record) -> set[str]:
    """The code that trained the run, by all its attempts, and that which evaluated it on further languages later."""
    own = record.environment
    environments = [*own.get("code", [own]), *own.get("further_evaluations", [])]
    return {
        f"{code['git_sha'][:10] if code['git_sha'] else 'unknown'}{' with changes' if code['git_dirty'] else ''}"
        for code in environments
    }


COSTS: Mapping[str, Callable[[Sequence[Record]], float]] = {
    "updates": lambda records: sum(record.validation[-1]["update"] for record in records),
    "seconds": lambda records: sum(r.timing["train_seconds"] + r.timing["fisher_seconds"] for r in records),
    "MiB": lambda records: max(record.peak_memory_bytes for record in records) / 2**20,
    "parameters": lambda records: max(stage["trainable"] for record in records for stage in record.stages),
}
"""Of the runs of one replicate: updates and seconds of training (with tr(F)) of all, the largest peak of memory of a
process, and the most parameters that train at once."""


def costs(table: Table, results: Results, place: Place) -> dict[str, Statistic]:
    """What the runs behind a number cost, by `COSTS`; of a replicate with a run missing nothing is known."""
    known = [
        [] if None in source.values() else list({r.run_id: r for r in source.values() if r}.values())
        for source in read(table, results, place)
    ]
    return {name: Statistic(tuple(cost(own) if own else None for own in known)) for name, cost in COSTS.items()}


def gain(table: Table, results: Results, place: Place, reference: Place) -> Statistic:
    """Ours − the reference's, replicate by replicate, which have the same seed."""
    own, other = (statistic(table, results, at, languages_at(table, results, at)).values for at in (place, reference))
    together = zip(own, other, strict=True)
    return Statistic(tuple(None if a is None or b is None else a - b for a, b in together))
