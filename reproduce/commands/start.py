"""Commands that start runs, watch and end them, and select from a search: `run submit retry status cancel select`."""

import argparse
import os
import signal
import time
from collections.abc import Iterable

from rich.console import Group
from rich.text import Text

from fun.errors import ConfigError, RunError
from fun.results import JobKnown, RunFolder
from reproduce.commands import options
from reproduce.commands.options import Targets, command, console, flag, option
from reproduce.runs.plan import Entry, remarks, results
from reproduce.runs.plan import plan as make_plan
from reproduce.runs.store import Done, Store, missing
from reproduce.start import search
from reproduce.start.here import run_missing
from reproduce.start.jobs import Jobs, asking, submitted_job
from reproduce.start.jobs import cancel as cancel_jobs
from reproduce.start.status import on_disk, report

WATCH_SECONDS = 10.0


@command(
    "run",
    "run what targets still need, on this machine",
    *options.MANY,
    option(
        "--jobs",
        type=options.positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        help="runs side by side (default: one per core)",
    ),
    option("--at-most", type=options.positive, metavar="N", help="so many runs, and the rest the next time"),
    flag("--retry", "also runs that failed by their method, or often because of their machine"),
    flag("--dry-run", "print the commands and run nothing"),
)
def run(typed: argparse.Namespace, declared: Targets) -> int:
    # A terminated run command must stop its children too, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    groups, root = options.needed(typed, declared), options.root(typed)
    left = run_missing(groups, root, typed.jobs, typed.at_most, dry_run=typed.dry_run, retry=typed.retry)
    return 1 if left else 0


SUBMITTING = (
    *options.MANY,
    option("--profile", required=True, help="a100, v100 or local (conf/hydra/launcher); a100,v100 shares the runs out"),
    option(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        dest="settings",
        help="a setting of the profiles, such as account=nlp; may be typed several times",
    ),
    option("--runs-per-job", type=options.positive, metavar="N", help="short runs that share a job"),
    flag("--dry-run", "show the sbatch scripts and submit nothing"),
)


@command("submit", "submit what targets lack to SLURM, or to this machine", *SUBMITTING)
def submit(typed: argparse.Namespace, declared: Targets) -> int:
    """Also `retry`, which holds fewer runs back. Returns 1 where it held some."""
    from reproduce.start.cluster import Profile, Submission, counted, summary

    groups, root = options.needed(typed, declared), options.root(typed)
    names = list(dict.fromkeys(typed.profile.split(",")))
    if "local" in names and len(names) > 1:
        raise ConfigError("--profile local cannot share runs with another profile: type it alone")
    submission = Submission(root, [Profile.load(name, typed.settings) for name in names], typed.runs_per_job)

    def planned(jobs: JobKnown | None) -> list[Entry]:
        return make_plan(groups, Store(root), jobs, retry=typed.command == "retry")

    if typed.dry_run:
        entries = asking(planned)
        for array in submission.arrays([entry for entry in entries if entry.startable], look_only=True):
            print(f"# {array}")
            print(array.script() or "\n".join(entry.run.path.name for part in array.parts for entry in part))
    else:
        entries, submitted = planned(submission.job_known), 0
        try:
            for array, jobs in submission.submit(entries):
                submitted += sum(map(len, array.parts))
                after = f", after {summary(array.after)}" if array.after else ""
                print(f"submitted {array}: job {summary(jobs)}{after}", flush=True)
        finally:
            done = sum(entry.result.complete or entry.gap for entry in entries)
            print(f"submitted {counted(submitted, 'run')}, under way {submission.under_way}, done {done}")
    for line in (*(entry.not_yet("submit") for entry in submission.waiting), *remarks(entries)):
        print(line)
    return 1 if any(entry.held for entry in entries) else 0


@command(
    "status",
    "count runs by state; show what runs and what went wrong",
    *options.OPTIONAL,
    flag("--watch", f"again every {WATCH_SECONDS:g} seconds, until Ctrl-C"),
)
def status(typed: argparse.Namespace, declared: Targets) -> int:
    terminal = console(soft_wrap=True)
    while True:
        standing = asking(lambda jobs: _standing(typed, declared, jobs))
        if typed.watch:
            terminal.clear()
        terminal.print(standing)
        if not typed.watch:
            return 0
        time.sleep(WATCH_SECONDS)


def _standing(typed: argparse.Namespace, declared: Targets, jobs: JobKnown | None) -> Group:
    root = options.root(typed)
    if typed.targets:
        groups = options.needed(typed, declared)
        entries = make_plan(groups, Store(root), jobs)
        standing = {name: {entry.run: entry.status for entry in entries if name in entry.targets} for name in groups}
        return report(standing, root)
    begun, closed = on_disk(root, jobs)
    if not begun and not closed:
        return Group(Text(f"no run was begun under {root} (FUN_RESULTS or --results names another folder)"))
    return Group(report(begun, root), *map(Text, closed))


command("retry", "submit what targets lack, failed runs too", *SUBMITTING)(submit)


@command("cancel", "cancel the jobs of targets", *options.MANY)
def cancel(typed: argparse.Namespace, declared: Targets) -> int:
    jobs, root = Jobs(), options.root(typed)
    entries = make_plan(options.needed(typed, declared), Store(root), jobs)
    doomed = _submitted([entry.run for entry in entries], jobs)
    if not doomed:
        print("no job of these targets waits or runs")
        return 0
    names = set(doomed.values())
    every = (run for group in on_disk(root, jobs)[0].values() for run in group)
    others = [run for run, job in _submitted(every, jobs).items() if job in names and run not in doomed]
    cancel_jobs(names)
    print(f"cancelled {len(names)} jobs of {len(doomed)} runs; what they saved stays")
    for run in others:
        print(f"these jobs were to run it too: {run.path.name}; submit its target again")
    return 0


def _submitted(runs: Iterable[RunFolder], jobs: Jobs) -> dict[RunFolder, str]:
    """The runs that run, or wait to, in a job of `submit`'s: what else they may run in is not ours to end."""
    return {run: job for run in runs if run.under_way(jobs) and (job := submitted_job(run, jobs))}


@command(
    "select",
    "choose hyperparameters from a finished search",
    option("search", metavar="OVERRIDE", nargs="+", help="sweep=lr_k, and what was typed for its runs: task=mnli …"),
    options.RESULTS,
)
def select(typed: argparse.Namespace, declared: Targets) -> int:
    store = Store(options.root(typed))
    done = [_select_from(searched, store) for searched in search.searches(typed.search)]
    return 0 if all(done) else 1


def _select_from(searched: search.Searched, store: Store) -> bool:
    """Select from one search and say so; False, and why, where it is not complete or every point of it failed."""
    needed, label = searched.needed(), searched.search.label
    held = results(asking(lambda jobs: make_plan({label: needed}, store, jobs)), needed)
    lacking = [
        run for run in needed if not (isinstance(held[run.overrides], Done) or search.failure(held[run.overrides]))
    ]
    if lacking:
        print(f"{label}: nothing is selected, because {len(lacking)} of {len(needed)} runs are missing:")
        print(*missing(lacking, held), sep="\n")
        return False
    try:
        selection, lines = search.select(searched, held)
    except RunError as error:
        print(f"{label}: nothing is selected, because {error}")
        return False
    print(f"{label}: {selection.rule}", *lines, f"wrote {selection.write(store.root)}", sep="\n")
    print(f"for runs with these values: {searched.command}")
    return True
