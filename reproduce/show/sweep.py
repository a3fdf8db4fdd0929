"""The results of a sweep, which has no declared table: a row for each configuration apart from the seed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Record
from reproduce.declare.parts import Needed
from reproduce.numbers.cells import Statistic, average, notes_on
from reproduce.runs.store import Done, Results, configuration
from reproduce.show.view import printed

Column = tuple[str, tuple[str, ...]]
"""A data set, and the languages that a number is over: the source language, or all target languages."""


@dataclass(frozen=True)
class Configuration:
    """What was typed for it apart from the seed, and the records, one for each seed."""

    typed: tuple[str, ...]
    columns: tuple[Column, ...]
    records: tuple[Record | None, ...]

    @classmethod
    def of(cls, typed: tuple[str, ...], runs: Sequence[Needed], results: Results) -> "Configuration":
        source = configuration(runs[0].overrides).training_language
        tested: dict[str, list[str]] = defaultdict(list)
        for dataset, language, _ in runs[0].values:
            tested[dataset].append(language)
        columns = [
            (dataset, tuple(language for language in languages if (language == source) is of_source))
            for dataset, languages in tested.items()
            for of_source in (True, False)
        ]
        held = (results[run.overrides] for run in runs)
        records = tuple(result.record if isinstance(result, Done) else None for result in held)
        return cls(typed, tuple(column for column in columns if column[1]), records)

    def statistic(self, column: Column) -> Statistic | None:
        """Over the seeds, by the metric that selected the checkpoint; None for what it is not tested in."""
        if column not in self.columns:
            return None
        dataset, languages = column
        return Statistic(
            tuple(
                None if record is None else average(record, dataset, languages, record.metric)
                for record in self.records
            )
        )


def configurations(needed: Iterable[Needed], results: Results) -> list[Configuration]:
    """The configurations of a sweep, in its order."""
    seeds: dict[tuple[str, ...], dict[int, Needed]] = defaultdict(dict)
    for run in needed:
        typed = tuple(override for override in run.overrides if override.partition("=")[0] != "seed")
        seeds[typed][configuration(run.overrides).seed] = run
    return [Configuration.of(typed, list(runs.values()), results) for typed, runs in seeds.items()]


def sweep_table(rows: Sequence[Configuration]) -> RichTable:
    """Mean and spread of each configuration; what all of them share stands in the heading."""
    columns = list(dict.fromkeys(column for row in rows for column in row.columns))
    common = [override for override in rows[0].typed if all(override in row.typed for row in rows)]
    table = RichTable(box=None, pad_edge=False)
    table.add_column(Text(" ".join(common)))
    table.add_column("n", justify="right")
    for column in columns:
        table.add_column(_heading(column, rows), justify="right")
    for row in rows:
        own = " ".join(override for override in row.typed if override not in common)
        numbers = (printed(row.statistic(column)) for column in columns)
        table.add_row(Text(own or "·"), str(len(row.records)), *numbers)
    return table


def notes(rows: Iterable[Configuration]) -> Iterator[str]:
    """What the rows mix, such as versions of the code."""
    yield from notes_on(record for row in rows for record in row.records)


def _heading(column: Column, rows: Iterable[Configuration]) -> Text:
    """The data set, its metric as soon as a record names that, and the languages."""
    dataset, languages = column
    records = (record for row in rows if column in row.columns for record in row.records)
    metric = next((record.metric for record in records if record is not None), "")
    over = languages[0] if len(languages) == 1 else f"average of {len(languages)}"
    return Text("\n".join(filter(None, (dataset, metric, over))))
