"""`python -m reproduce collect TARGET…`: verify every record with its files, and refresh the targets' tables."""

import argparse

from fun.results import Damaged, RunFolder, State
from reproduce import published
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.table import render, write
from reproduce.papers import Target
from reproduce.plan import folders, found, needed_runs


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    targets, root = options.targets(typed, known), options.root(typed)
    runs = folders((run for target in targets for run in needed_runs(target)), root)
    done = [run for run in runs if run.status().state in (State.DONE, State.DAMAGED)]
    damage = {run: reason for run in done if (reason := _damage(run))}
    bytes_used = sum(file.stat().st_size for run in done for file in run.path.rglob("*") if file.is_file())
    print(
        f"{len(done) - len(damage)} of {len(runs)} runs are done and as they were written, "
        f"{bytes_used / 1e6 / max(len(done), 1):.1f} MB each"
    )
    for reason in damage.values():
        print(f"damaged: {reason}")
    for target in targets:
        if target.name not in target.paper.figures:
            _refresh(target, typed)
    return 1 if damage else 0


def _damage(run: RunFolder) -> str:
    try:
        run.record(verify_files=True)
    except Damaged as damage:
        return str(damage)
    return ""


def _refresh(target: Target, typed: argparse.Namespace) -> None:
    results = found(needed_runs(target), options.store(typed))
    shown = render(target, results, published.load(target.paper))
    for path in write(shown, target, options.out(typed)):
        print(f"wrote {path} ({shown.summary})")


COMMAND = Command("collect", "verify records, refresh tables", _add_arguments, _run)
