"""Commands that read runs and start none: `plan` and `collect`."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Damaged, RunFolder, State
from reproduce.commands import options
from reproduce.commands.options import Targets, command, console
from reproduce.commands.show import write
from reproduce.declare.figures import Figure
from reproduce.numbers.cells import notes_on, record_of
from reproduce.runs.plan import Entry, hours, results
from reproduce.runs.plan import plan as make_plan
from reproduce.runs.store import Store
from reproduce.show.sweep import sweep_table
from reproduce.show.view import view
from reproduce.start.jobs import asking


def _shape(parser: argparse.ArgumentParser, declared: Targets) -> None:
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="everything, as JSON")
    shape.add_argument("--commands", action="store_true", help="one line to paste for each missing run, in their order")


@command("plan", "show the runs that targets need, their states and the hours left", *options.MANY, _shape)
def plan(typed: argparse.Namespace, declared: Targets) -> int:
    groups, store = options.needed(typed, declared), Store(options.root(typed))
    entries = asking(lambda jobs: make_plan(groups, store, jobs))
    if typed.json:
        print(json.dumps([_described(entry) for entry in entries], indent=1, ensure_ascii=False))
        return 0
    if typed.commands:
        for entry in entries:
            if entry.missing:
                why = f"  # {entry.state}: {' '.join(entry.reason.split())}" if entry.reason else ""
                print(f"{entry.command}{why}")
        return 0
    table = RichTable("runs", box=None, pad_edge=False)
    for name in (*State, "incomplete", "GPU-hours left"):
        table.add_column(str(name), justify="right")
    for target in groups:
        if own := [entry for entry in entries if target in entry.targets]:  # tables of settings need no runs
            table.add_row(Text(target), *_numbers(own))
    if len(groups) > 1:
        table.add_row("all, each once", *_numbers(entries))
    console().print(table)
    for entry in entries:
        if entry.state in (State.FAILED, State.DAMAGED):
            print(f"{entry.state}: {entry.run.path.name}: {' '.join(entry.reason.split())}")
    if waiting := sum(entry.missing and bool(entry.producers) for entry in entries):
        print(f"{waiting} of the missing runs read what runs make that come before them")
    print("GPU-hours: of finished runs with the same task, model, adapter and data size, on whatever device these had")
    return 0


def _numbers(entries: Sequence[Entry]) -> list[str]:
    states = Counter(entry.state for entry in entries)
    incomplete = sum(entry.state is State.DONE and entry.missing for entry in entries)
    measured, unknown = hours(entries)
    missing = sum(entry.missing for entry in entries)
    left = f"{measured:.1f}" if unknown < missing or not missing else ""
    parts = [left, f"{unknown} runs unknown" if unknown else ""]
    return [*(str(states[state]) for state in State), str(incomplete), " + ".join(filter(None, parts))]


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


@command("collect", "verify records, refresh tables", *options.MANY, *options.READING)
def collect(typed: argparse.Namespace, declared: Targets) -> int:
    groups, store = options.needed(typed, declared), options.store(typed)
    entries = make_plan(groups, store)
    written = [entry for entry in entries if entry.state in (State.DONE, State.DAMAGED)]
    damage: dict[RunFolder, str] = {}
    for entry in written:
        if entry.state is State.DAMAGED:
            damage[entry.run] = entry.reason
            continue
        try:
            entry.run.record(verify_files=True, without_weights=True)
        except Damaged as error:
            damage[entry.run] = str(error)
    intact = [entry.run.path for entry in written if entry.run not in damage]
    size = sum(file.stat().st_size for path in intact for file in path.rglob("*") if file.is_file())
    print(
        f"{len(intact)} of {len(entries)} runs are done and as they were written, "
        f"{size / 1e6 / max(len(intact), 1):.1f} MB each"
    )
    for reason in damage.values():
        print(f"damaged: {reason}")
    for name, needed in groups.items():
        if name not in declared and any(run.values for run in needed):  # a search is tested in no language
            held = results(entries, needed)
            print("mean ± sample std (n−1) over n seeds, in percent; 2/4: only 2 of 4 seeds have all of its languages")
            console().print(sweep_table(needed, held))
            for note in notes_on(record_of(held, run) for run in held):
                print(f"note: {note}")
    tables = [declared[name] for name in groups if name in declared and not isinstance(declared[name], Figure)]
    for table in tables:
        filled = view(table, results(entries, table.needed()))
        for path in write(filled, table, options.out(typed)):
            print(f"wrote {path} ({filled.summary})")
    return 1 if damage else 0
