"""`python -m reproduce plan TARGET…`: the runs that targets need, their states, and the hours that are left."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import State
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.plan import Entry, counts, hours, outlook
from reproduce.show.text import WIDTH
from reproduce.start.jobs import asking

TROUBLE = (State.FAILED, State.DAMAGED)


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="everything, as JSON")
    shown.add_argument("--commands", action="store_true", help="one line to paste for each missing run, in their order")


def _run(typed: argparse.Namespace, known: Targets) -> int:
    groups = options.needed(typed, known)
    entries = asking(lambda jobs: outlook(groups, options.unmarked(typed), jobs))
    if typed.json:
        print(json.dumps([_described(entry) for entry in entries], indent=1, ensure_ascii=False))
    elif typed.commands:
        for entry in entries:
            if entry.missing:
                print(f"{entry.command}{_comment(entry)}")
    else:
        _show(list(groups), entries)
    return 0


def _show(targets: Sequence[str], entries: Sequence[Entry]) -> None:
    Console(width=None if sys.stdout.isatty() else WIDTH).print(_summary(targets, entries))
    for entry in entries:
        if entry.state in TROUBLE:
            print(f"{entry.state}: {entry.run.path.name}: {' '.join(entry.reason.split())}")
    absent = {entry.run for entry in entries if entry.missing}
    waiting = sum(entry.missing and not absent.isdisjoint(entry.producers) for entry in entries)
    if waiting:
        print(f"{waiting} of the missing runs read language adapters of runs that come before them")
    print("GPU-hours: of finished runs with the same task, model, adapter and data size, on whatever device these had")


def _summary(targets: Sequence[str], entries: Sequence[Entry]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("runs")
    for name in (*State, "incomplete", "GPU-hours left"):
        table.add_column(str(name), justify="right")
    for target in targets:
        if found := [entry for entry in entries if target in entry.targets]:  # tables of settings need no runs
            table.add_row(Text(target), *_numbers(found))
    if len(targets) > 1:
        table.add_row("all, each once", *_numbers(entries))
    return table


def _numbers(entries: Sequence[Entry]) -> list[str]:
    found = counts(entries)
    incomplete = sum(entry.state is State.DONE and entry.missing for entry in entries)
    measured, unknown = hours(entries)
    missing = sum(entry.missing for entry in entries)
    left = f"{measured:.1f}" if unknown < missing or not missing else ""
    parts = [left, f"{unknown} runs unknown" if unknown else ""]
    return [*(str(found[state]) for state in State), str(incomplete), " + ".join(filter(None, parts))]


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
        "producers": [producer.run_id for producer in entry.producers],
        "hours": entry.hours,
        "command": entry.command,
    }


COMMAND = Command("plan", "show the runs that targets need, their states and the hours left", _add_arguments, _run)
