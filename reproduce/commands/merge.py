"""`python -m reproduce merge OTHER`: take over the finished runs and selections of another results folder."""

import argparse
from collections import Counter
from pathlib import Path

from reproduce.carry.merge import Outcome, merge
from reproduce.commands import options
from reproduce.commands.command import Command, Targets


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument("other", metavar="OTHER", type=Path, help="a results folder, for example of another cluster")
    options.add_results(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    counts: Counter[Outcome] = Counter()
    for merged in merge(typed.other, options.root(typed)):
        counts[merged.outcome] += 1
        if merged.detail:
            print(f"{merged.outcome}: {merged.name}: {' '.join(merged.detail.split())}", flush=True)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    return 1 if counts[Outcome.DIFFERENT] or counts[Outcome.LEFT] else 0


COMMAND = Command("merge", "take over the finished runs and selections of another results folder", _add_arguments, _run)
