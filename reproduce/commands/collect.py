"""`python -m reproduce collect TARGET…`: verify every record with its files, and refresh the targets' tables.

A sweep has no declared table: its results are printed, one row for each configuration apart from the seed.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Damaged, Record, State
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.table import write
from reproduce.declare import published
from reproduce.declare.papers import Target
from reproduce.declare.parts import Needed, merged
from reproduce.numbers.cells import Statistic, average, notes_on
from reproduce.runs.store import Found, Store, configuration, folders, found, needed_runs
from reproduce.show.text import WIDTH
from reproduce.show.view import printed, view
from reproduce.start.status import Standing, standings

Column = tuple[str, tuple[str, ...]]
"""A data set, and the languages that a number is over: the source language, or all target languages."""


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    groups, store = options.needed(typed, known), options.store(typed)
    runs = standings(folders((run for needed in groups.values() for run in needed), store), None)
    done = [one for one in runs if one.status.state in (State.DONE, State.DAMAGED)]
    damage = {one.run: reason for one in done if (reason := _damage(one))}
    bytes_used = sum(file.stat().st_size for one in done for file in one.run.path.rglob("*") if file.is_file())
    intact = {one.run.run_id for one in done} - {run.run_id for run in damage}
    print(
        f"{len(intact)} of {len({one.run.run_id for one in runs})} runs are done and as they were written, "
        f"{bytes_used / 1e6 / max(len(done), 1):.1f} MB each"
    )
    for reason in damage.values():
        print(f"damaged: {reason}")
    for name, needed in groups.items():
        if name not in known and any(run.values for run in needed):  # a search is tested in no language
            _show(_rows(needed, store))
    targets = [known[name] for name in groups if name in known]
    if tables := [target for target in targets if target.name not in target.paper.figures]:
        _refresh(tables, store, options.out(typed))
    return 1 if damage else 0


def _damage(one: Standing) -> str:
    if one.status.state is State.DAMAGED:
        return one.status.detail
    try:
        one.run.record(verify_files=True, without_weights=True)
    except Damaged as damage:
        return str(damage)
    return ""


@dataclass(frozen=True)
class Row:
    """A configuration of a sweep apart from the seed: what was typed for it, and the records, one for each seed."""

    typed: tuple[str, ...]
    columns: tuple[Column, ...]
    records: tuple[Record | None, ...]

    def statistic(self, column: Column) -> Statistic | None:
        """Over the seeds, by the metric that selected the checkpoint; None for what it is not tested in."""
        if column not in self.columns:
            return None
        dataset, languages = column
        return Statistic(
            tuple(
                None if record is None else average(record, dataset, languages, record.selected["metric"])
                for record in self.records
            )
        )


def _rows(needed: Iterable[Needed], store: Store) -> list[Row]:
    seeds: dict[tuple[str, ...], dict[int, Needed]] = defaultdict(dict)
    for run in needed:
        typed = tuple(override for override in run.overrides if override.partition("=")[0] != "seed")
        seeds[typed][configuration(run.overrides).seed] = run
    return [_row(typed, list(runs.values()), store) for typed, runs in seeds.items()]


def _row(typed: tuple[str, ...], runs: Sequence[Needed], store: Store) -> Row:
    source = configuration(runs[0].overrides).training_language
    tested: dict[str, list[str]] = defaultdict(list)
    for dataset, language, _ in runs[0].values:
        tested[dataset].append(language)
    parts = [
        (dataset, tuple(language for language in languages if (language == source) is of_source))
        for dataset, languages in tested.items()
        for of_source in (True, False)
    ]
    records = (result.record if isinstance(result, Found) else None for result in map(store, runs))
    return Row(typed, tuple((dataset, languages) for dataset, languages in parts if languages), tuple(records))


def _show(rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row.columns))
    common = [override for override in rows[0].typed if all(override in row.typed for row in rows)]
    table = RichTable(box=None, pad_edge=False)
    table.add_column(Text(" ".join(common)))
    table.add_column("n", justify="right")
    for column in columns:
        table.add_column(_heading(column, rows), justify="right")
    for row in rows:
        own = " ".join(override for override in row.typed if override not in common)
        shown = (printed(row.statistic(column)) for column in columns)
        table.add_row(Text(own or "·"), str(len(row.records)), *shown)
    print("mean ± sample std (n−1) over n seeds, in percent; 2/4: only 2 of 4 seeds have all of its languages")
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    for note in notes_on(record for row in rows for record in row.records):
        print(f"note: {note}")


def _heading(column: Column, rows: Iterable[Row]) -> Text:
    """The data set, its metric as soon as a record names that, and the languages."""
    dataset, languages = column
    records = (record for row in rows if column in row.columns for record in row.records)
    metric = next((record.selected["metric"] for record in records if record is not None), "")
    over = languages[0] if len(languages) == 1 else f"average of {len(languages)}"
    return Text("\n".join(filter(None, (dataset, metric, over))))


def _refresh(tables: Sequence[Target], store: Store, out: Path) -> None:
    # A paper's tables share runs: each is looked up once, with all that any of the tables needs of it.
    results = found(merged(run for table in tables for run in needed_runs(table)), store)
    for table in tables:
        shown = view(table, results, published.load(table.paper))
        for path in write(shown, table, out):
            print(f"wrote {path} ({shown.summary})")


COMMAND = Command("collect", "verify records, refresh tables", _add_arguments, _run)
