"""`python -m reproduce cancel TARGET…`: cancel the jobs that run, or are to run, what targets lack."""

import argparse

from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.jobs import Jobs, cancel, job_of
from reproduce.plan import folders


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)
    options.add_results(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    jobs = Jobs()
    found = {run: job for run in folders(needed, options.root(typed)) if (job := job_of(run, jobs))}
    if not found:
        print("no job of these targets waits or runs")
        return 0
    cancel(found.values())
    print(f"cancelled {len(set(found.values()))} jobs of {len(found)} runs; what they saved stays")
    return 0


COMMAND = Command("cancel", "cancel the jobs of targets", _add_arguments, _run)
