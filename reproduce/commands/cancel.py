"""`python -m reproduce cancel TARGET…`: cancel the jobs that run, or are to run, what targets lack."""

import argparse
from collections.abc import Iterable

from fun.results import RunFolder
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import folders
from reproduce.start.jobs import Jobs, cancel, submitted_job
from reproduce.start.status import runs_on_disk


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    jobs = Jobs()
    found = _jobs(folders(needed, options.unmarked(typed)), jobs)
    if not found:
        print("no job of these targets waits or runs")
        return 0
    doomed = set(found.values())
    every = (run for runs in runs_on_disk(options.root(typed)).values() for run in runs)
    others = [run for run, job in _jobs(every, jobs).items() if job in doomed and run not in found]
    cancel(doomed)
    print(f"cancelled {len(doomed)} jobs of {len(found)} runs; what they saved stays")
    for run in others:
        print(f"these jobs were to run it too: {run.path.name}; submit its target again")
    return 0


def _jobs(runs: Iterable[RunFolder], jobs: Jobs) -> dict[RunFolder, str]:
    """The runs that run, or wait to, in a job of `submit`'s: what else they may run in is not ours to end."""
    return {run: job for run in runs if run.under_way(jobs) and (job := submitted_job(run, jobs))}


COMMAND = Command("cancel", "cancel the jobs of targets", _add_arguments, _run)
