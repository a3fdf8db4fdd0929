"""`python -m reproduce collect TARGET…`: verify every record with its files, and refresh the targets' tables."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fun.results import Damaged, State
from reproduce import published
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.table import render, write
from reproduce.declarations import merged
from reproduce.papers import Target
from reproduce.plan import Store, folders, found, needed_runs
from reproduce.progress import Standing, standings


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
    targets = [known[name] for name in groups if name in known]  # sweeps and searches have no table
    if tables := [target for target in targets if target.name not in target.paper.figures]:
        _refresh(tables, store, options.out(typed))
    return 1 if damage else 0


def _damage(one: Standing) -> str:
    if one.status.state is State.DAMAGED:
        return one.status.detail
    try:
        one.run.record(verify_files=True)
    except Damaged as damage:
        return str(damage)
    return ""


def _refresh(tables: Sequence[Target], store: Store, out: Path) -> None:
    # A paper's tables share runs: each is looked up once, with all that any of the tables needs of it.
    results = found(merged(run for table in tables for run in needed_runs(table)), store)
    for table in tables:
        shown = render(table, results, published.load(table.paper))
        for path in write(shown, table, out):
            print(f"wrote {path} ({shown.summary})")


COMMAND = Command("collect", "verify records, refresh tables", _add_arguments, _run)
