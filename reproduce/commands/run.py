"""`python -m reproduce run TARGET…`: run what targets still need, on this machine."""

import argparse
import os
import signal

from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.start.here import run_missing


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)
    parser.add_argument(
        "--jobs",
        type=options.positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        help="runs side by side (default: one per core)",
    )
    parser.add_argument(
        "--retry", action="store_true", help="also runs that failed by their method, or often because of their machine"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")


def _run(typed: argparse.Namespace, known: Targets) -> int:
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    # A terminated run command must stop its children too, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return 1 if run_missing(needed, options.root(typed), typed.jobs, dry_run=typed.dry_run, retry=typed.retry) else 0


COMMAND = Command("run", "run what targets still need, on this machine", _add_arguments, _run)
