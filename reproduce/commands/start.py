"""Commands that start runs, watch and end them, and select from a search: `run submit retry status cancel select`."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.text import Text

from fun.errors import ConfigError
from fun.results import JobKnown, RunFolder
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.plan import FAILURES, Entry, plan, remarks, results
from reproduce.runs.store import Done, Store, command, missing
from reproduce.show.text import WIDTH
from reproduce.start import search
from reproduce.start.here import run_missing
from reproduce.start.jobs import Jobs, asking, cancel, submitted_job
from reproduce.start.status import on_disk, report

if TYPE_CHECKING:
    from reproduce.start.cluster import Submission

WATCH_SECONDS = 10.0


# --- run ---


def _run_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
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
    # A terminated run command must stop its children too, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    groups = options.needed(typed, known)
    left = run_missing(groups, options.root(typed), typed.jobs, dry_run=typed.dry_run, retry=typed.retry)
    return 1 if left else 0


# --- submit, retry ---


def _submit_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)
    parser.add_argument(
        "--profile", required=True, help="a100, v100 or local (conf/hydra/launcher); a100,v100 shares the runs out"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        dest="settings",
        help="a setting of the profiles, such as account=nlp; may be typed several times",
    )
    parser.add_argument("--runs-per-job", type=options.positive, metavar="N", help="short runs that share a job")
    parser.add_argument(
        "--failures",
        type=options.positive,
        default=FAILURES,
        metavar="N",
        help="a run that failed N times in a row because of its machine waits for retry (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the sbatch scripts and submit nothing")


def _submit(typed: argparse.Namespace, known: Targets, *, retry: bool) -> int:
    """Submit, or show, what the targets lack; 1 where runs were held back."""
    from reproduce.start.cluster import Submission, summary
    from reproduce.start.profiles import Profile

    groups, root = options.needed(typed, known), options.root(typed)
    names = list(dict.fromkeys(typed.profile.split(",")))
    if "local" in names[1:] or (len(names) > 1 and names[0] == "local"):
        raise ConfigError("--profile local cannot share runs with another profile: type it alone")
    submission = Submission(
        root, [Profile.load(name, typed.settings) for name in names], typed.runs_per_job, typed.failures
    )

    def planned(jobs: JobKnown | None) -> list[Entry]:
        return plan(groups, Store(root), jobs, retry=retry, failures=typed.failures)

    if typed.dry_run:
        entries = asking(lambda jobs: _show(replace(submission, known=jobs or _unknown), planned(jobs)))
        return 1 if any(entry.held for entry in entries) else 0
    entries = planned(submission.known)
    submitted = 0
    try:
        for array, jobs in submission.submit(entries):
            submitted += sum(map(len, array.parts))
            after = f", after {summary(array.after)}" if array.after else ""
            print(
                f"submitted {_described(array.parts)} on {array.profile.name}: job {summary(jobs)}{after}", flush=True
            )
    finally:
        runs = f"{submitted} run{'s' * (submitted != 1)}"
        done = sum(entry.complete or entry.gap for entry in entries)
        print(f"submitted {runs}, under way {submission.under_way}, done {done}")
    _remark(submission, entries)
    return 1 if any(entry.held for entry in entries) else 0


def _show(submission: "Submission", entries: list[Entry]) -> list[Entry]:
    for array, script in submission.scripts(entries):
        print(f"# {_described(array.parts)} on {array.profile.name}")
        print(script or "\n".join(start.run.path.name for part in array.parts for start in part))
    _remark(submission, entries)
    return entries


def _remark(submission: "Submission", entries: Iterable[Entry]) -> None:
    for line in (*(entry.not_yet("submit") for entry in submission.waiting), *remarks(entries)):
        print(line)


def _unknown(job: str) -> bool:
    return False


def _described(parts: tuple[tuple[object, ...], ...]) -> str:
    runs = sum(map(len, parts))
    return f"{runs} run{'s' * (runs > 1)} in {len(parts)} job{'s' * (len(parts) > 1)}"


# --- status ---


def _status_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known, at_least_one=False)
    options.add_results(parser)
    parser.add_argument("--watch", action="store_true", help=f"again every {WATCH_SECONDS:g} seconds, until Ctrl-C")


def _status(typed: argparse.Namespace, known: Targets) -> int:
    console = Console(width=None if sys.stdout.isatty() else WIDTH, soft_wrap=True)
    while True:
        standing = asking(lambda jobs: _standing(typed, known, jobs))
        if typed.watch:
            console.clear()
        console.print(standing)
        if not typed.watch:
            return 0
        time.sleep(WATCH_SECONDS)


def _standing(typed: argparse.Namespace, known: Targets, jobs: JobKnown | None) -> Group:
    root = options.root(typed)
    if typed.targets:
        groups = options.needed(typed, known)
        entries = plan(groups, options.unmarked(typed), jobs)
        return report(
            {name: {entry.run: entry.status for entry in entries if name in entry.targets} for name in groups}, root
        )
    begun, closed = on_disk(root, jobs)
    if not begun and not closed:
        return Group(Text(f"no run was begun under {root} (FUN_RESULTS or --results names another folder)"))
    return Group(report(begun, root), *map(Text, closed))


# --- cancel ---


def _cancel_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)


def _cancel(typed: argparse.Namespace, known: Targets) -> int:
    jobs = Jobs()
    entries = plan(options.needed(typed, known), options.unmarked(typed), jobs)
    doomed = _submitted([entry.run for entry in entries], jobs)
    if not doomed:
        print("no job of these targets waits or runs")
        return 0
    names = set(doomed.values())
    every = (run for group in on_disk(options.root(typed), jobs)[0].values() for run in group)
    others = [run for run, job in _submitted(every, jobs).items() if job in names and run not in doomed]
    cancel(names)
    print(f"cancelled {len(names)} jobs of {len(doomed)} runs; what they saved stays")
    for run in others:
        print(f"these jobs were to run it too: {run.path.name}; submit its target again")
    return 0


def _submitted(runs: Iterable[RunFolder], jobs: Jobs) -> dict[RunFolder, str]:
    """The runs that run, or wait to, in a job of `submit`'s: what else they may run in is not ours to end."""
    return {run: job for run in runs if run.under_way(jobs) and (job := submitted_job(run, jobs))}


# --- select ---


def _select_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument(
        "search", metavar="OVERRIDE", nargs="+", help="sweep=lr_k, and what was typed for its runs, such as task=mnli"
    )
    options.add_results(parser)


def _select(typed: argparse.Namespace, known: Targets) -> int:
    store = Store(options.root(typed))
    done = [_select_from(searched, store) for searched in search.searches(typed.search)]
    return 0 if all(done) else 1


def _select_from(searched: search.Searched, store: Store) -> bool:
    """Select from one search and say so; False, and why, where it is not complete or every point of it failed."""
    needed, label = searched.needed(), searched.search.label
    held = results(asking(lambda jobs: plan({label: needed}, store, jobs)), needed)
    lacking = [
        run for run in needed if not (isinstance(held[run.overrides], Done) or search.failure(held[run.overrides]))
    ]
    if lacking:
        print(f"{label}: nothing is selected, because {len(lacking)} of {len(needed)} runs are missing:")
        print(*missing(lacking, held), sep="\n")
        return False
    selection = search.select(searched, held)
    if selection is None:
        print(f"{label}: nothing is selected, because {search.nothing_left(searched, held)}")
        return False
    print(f"{label}: {selection.rule}")
    _print(search.scored(selection, searched, held))
    _print(search.warnings(selection, searched))
    print(f"wrote {selection.write(store.root)}")
    print(f"for runs with these values: {command(searched.command)}")
    return True


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


COMMANDS = (
    Command("run", "run what targets still need, on this machine", _run_arguments, _run),
    Command(
        "submit",
        "submit what targets lack to SLURM, or to this machine",
        _submit_arguments,
        partial(_submit, retry=False),
    ),
    Command("status", "count runs by state; show what runs and what went wrong", _status_arguments, _status),
    Command("retry", "submit what targets lack, failed runs too", _submit_arguments, partial(_submit, retry=True)),
    Command("cancel", "cancel the jobs of targets", _cancel_arguments, _cancel),
    Command("select", "choose hyperparameters from a finished search", _select_arguments, _select),
)
