"""Commands that read runs and start none: `plan` and `collect`."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Damaged, State
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.show import write
from reproduce.declare.figures import Figure
from reproduce.declare.parts import Needed
from reproduce.numbers.cells import notes_on, record_of
from reproduce.runs.plan import Entry, counts, hours, plan, results
from reproduce.runs.store import Results
from reproduce.show.sweep import sweep_table
from reproduce.show.text import WIDTH
from reproduce.show.view import view
from reproduce.start.jobs import asking

TROUBLE = (State.FAILED, State.DAMAGED)


def _plan_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="everything, as JSON")
    shape.add_argument("--commands", action="store_true", help="one line to paste for each missing run, in their order")


def _plan(typed: argparse.Namespace, known: Targets) -> int:
    groups, store = options.needed(typed, known), options.unmarked(typed)
    entries = asking(lambda jobs: plan(groups, store, jobs))
    if typed.json:
        print(json.dumps([_described(entry) for entry in entries], indent=1, ensure_ascii=False))
    elif typed.commands:
        for entry in entries:
            if entry.missing:
                print(f"{entry.command}{_comment(entry)}")
    else:
        _summarise(list(groups), entries)
    return 0


def _summarise(targets: Sequence[str], entries: Sequence[Entry]) -> None:
    Console(width=None if sys.stdout.isatty() else WIDTH).print(_summary(targets, entries))
    for entry in entries:
        if entry.state in TROUBLE:
            print(f"{entry.state}: {entry.run.path.name}: {' '.join(entry.reason.split())}")
    if waiting := sum(entry.missing and bool(entry.producers) for entry in entries):
        print(f"{waiting} of the missing runs read language adapters of runs that come before them")
    print("GPU-hours: of finished runs with the same task, model, adapter and data size, on whatever device these had")


def _summary(targets: Sequence[str], entries: Sequence[Entry]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("runs")
    for name in (*State, "incomplete", "GPU-hours left"):
        table.add_column(str(name), justify="right")
    for target in targets:
        if own := [entry for entry in entries if target in entry.targets]:  # tables of settings need no runs
            table.add_row(Text(target), *_numbers(own))
    if len(targets) > 1:
        table.add_row("all, each once", *_numbers(entries))
    return table


def _numbers(entries: Sequence[Entry]) -> list[str]:
    states = counts(entries)
    incomplete = sum(entry.state is State.DONE and entry.missing for entry in entries)
    measured, unknown = hours(entries)
    missing = sum(entry.missing for entry in entries)
    left = f"{measured:.1f}" if unknown < missing or not missing else ""
    parts = [left, f"{unknown} runs unknown" if unknown else ""]
    return [*(str(states[state]) for state in State), str(incomplete), " + ".join(filter(None, parts))]


def _comment(entry: Entry) -> str:
    """Why a run that was begun is missing, as a comment."""
    return f"  # {entry.state}: {' '.join(entry.reason.split())}" if entry.reason else ""


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "run_id": entry.run.run_id,
        "label": entry.run.path.name,
        "targets": entry.targets,
        "state": entry.state,
        "reason": entry.reason,
        "missing": entry.missing,
        "startable": entry.startable,
        "producers": [producer.run_id for producer in entry.producers],
        "hours": entry.hours,
        "command": entry.command,
    }


def _collect_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_reading(parser)


def _collect(typed: argparse.Namespace, known: Targets) -> int:
    groups, store = options.needed(typed, known), options.store(typed)
    entries = plan(groups, store)
    written = [entry for entry in entries if entry.state in (State.DONE, State.DAMAGED)]
    damage = {entry.run: reason for entry in written if (reason := _damage(entry))}
    intact = [entry.run.path for entry in written if entry.run not in damage]
    size = sum(file.stat().st_size for path in intact for file in path.rglob("*") if file.is_file())
    print(
        f"{len(intact)} of {len(entries)} runs are done and as they were written, "
        f"{size / 1e6 / max(len(intact), 1):.1f} MB each"
    )
    for reason in damage.values():
        print(f"damaged: {reason}")
    for name, needed in groups.items():
        if name not in known and any(run.values for run in needed):  # a search is tested in no language
            _show_sweep(needed, results(entries, needed))
    tables = [known[name] for name in groups if name in known and not isinstance(known[name], Figure)]
    for table in tables:
        filled = view(table, results(entries, table.needed()))
        for path in write(filled, table, options.out(typed)):
            print(f"wrote {path} ({filled.summary})")
    return 1 if damage else 0


def _show_sweep(needed: Sequence[Needed], held: Results) -> None:
    print("mean ± sample std (n−1) over n seeds, in percent; 2/4: only 2 of 4 seeds have all of its languages")
    Console(width=None if sys.stdout.isatty() else WIDTH).print(sweep_table(needed, held))
    for note in notes_on(record_of(held, run) for run in held):
        print(f"note: {note}")


def _damage(entry: Entry) -> str:
    if entry.state is State.DAMAGED:
        return entry.reason
    try:
        entry.run.record(verify_files=True, without_weights=True)
    except Damaged as damage:
        return str(damage)
    return ""


COMMANDS = (
    Command("plan", "show the runs that targets need, their states and the hours left", _plan_arguments, _plan),
    Command("collect", "verify records, refresh tables", _collect_arguments, _collect),
)
