"""`python -m reproduce status [TARGET…]`: what is happening, as the run folders and SLURM tell it."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.text import Text

from fun.results import NEVER_BEGUN, RunFolder
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import folders
from reproduce.show.text import WIDTH
from reproduce.start.jobs import asking
from reproduce.start.status import Standing, report, runs_on_disk, standings

WATCH_SECONDS = 10.0


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known, at_least_one=False)
    options.add_results(parser)
    parser.add_argument("--watch", action="store_true", help=f"again every {WATCH_SECONDS:g} seconds, until Ctrl-C")


def _run(typed: argparse.Namespace, known: Targets) -> int:
    console = Console(width=None if sys.stdout.isatty() else WIDTH, soft_wrap=True)
    while True:
        shown = _report(typed, known)
        if typed.watch:
            console.clear()
        console.print(shown)
        if not typed.watch:
            return 0
        time.sleep(WATCH_SECONDS)


def _report(typed: argparse.Namespace, known: Targets) -> Group:
    root = options.root(typed)
    if typed.targets:
        store = options.unmarked(typed)
        groups = {name: folders(runs, store) for name, runs in options.needed(typed, known).items()}
        return report(_standings(groups), root)
    # A folder without anything but withdrawn marks is that of a submission that was refused.
    begun = {
        name: [one for one in found if one.status != NEVER_BEGUN]
        for name, found in _standings(runs_on_disk(root)).items()
    }
    if not any(begun.values()):
        return Group(Text(f"no run was begun under {root} (FUN_RESULTS or --results names another folder)"))
    return report({name: found for name, found in begun.items() if found}, root)


def _standings(groups: Mapping[str, Sequence[RunFolder]]) -> dict[str, list[Standing]]:
    return asking(lambda jobs: {name: standings(runs, jobs) for name, runs in groups.items()})


COMMAND = Command("status", "count runs by state; show what runs and what went wrong", _add_arguments, _run)
