"""The results of a sweep, which has no declared table: a row for each configuration apart from the seed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Record
from reproduce.declare.parts import Needed
from reproduce.numbers.cells import Statistic, average, record_of
from reproduce.runs.store import Results, configuration
from reproduce.show.view import printed

Column = tuple[str, tuple[str, ...]]
"""A data set, and the languages that a number is over: the source language, or all target languages."""


def sweep_table(needed: Iterable[Needed], results: Results) -> RichTable:
    """Mean and spread of each configuration, in the sweep's order; what all of them share stands in the heading."""
    rows: dict[tuple[str, ...], list[Needed]] = defaultdict(list)
    for run in dict.fromkeys(needed):
        rows[tuple(override for override in run.overrides if not override.startswith("seed="))].append(run)
    records = {typed: [record_of(results, run.overrides) for run in runs] for typed, runs in rows.items()}
    numbers = {
        typed: {column: _number(column, records[typed]) for column in _columns(runs[0])} for typed, runs in rows.items()
    }
    common = [override for override in next(iter(rows)) if all(override in typed for typed in rows)]
    table = RichTable(box=None, pad_edge=False)
    table.add_column(Text(" ".join(common)))
    table.add_column("n", justify="right")
    columns = list(dict.fromkeys(column for own in numbers.values() for column in own))
    for dataset, languages in columns:
        tested = (record for typed in rows if (dataset, languages) in numbers[typed] for record in records[typed])
        metric = next((record.metric for record in tested if record is not None), "")  # as soon as a record names it
        over = languages[0] if len(languages) == 1 else f"average of {len(languages)}"
        table.add_column(Text("\n".join(filter(None, (dataset, metric, over)))), justify="right")
    for typed, own in numbers.items():
        different = " ".join(override for override in typed if override not in common)
        table.add_row(Text(different or "·"), str(len(rows[typed])), *(printed(own.get(column)) for column in columns))
    return table


def _columns(run: Needed) -> Iterator[Column]:
    source = configuration(run.overrides).training_language
    for dataset in dict.fromkeys(dataset for dataset, _, _ in run.values):
        languages = [language for name, language, _ in run.values if name == dataset]
        for of_source in (True, False):
            if own := tuple(language for language in languages if (language == source) is of_source):
                yield dataset, own


def _number(column: Column, records: Sequence[Record | None]) -> Statistic:
    """Over the seeds, by the metric that selected the checkpoint."""
    dataset, languages = column
    own = (None if r is None else average(dict.fromkeys(languages, r), dataset, languages, r.metric) for r in records)
    return Statistic(tuple(own))
