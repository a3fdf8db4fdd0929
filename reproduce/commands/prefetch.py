"""`python -m reproduce prefetch TARGET…`: download everything that targets need, where there is a network."""

import argparse

from reproduce.carry.prefetch import prefetch
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import with_producers


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    fetched = []
    for one in prefetch(with_producers(needed)):
        fetched.append(one)
        print(f"{'failed' if one.problem else 'here'}: {one.key}", flush=True)
        if one.problem:
            print(f"    {' '.join(one.problem.split())}", flush=True)
    failed = sum(bool(one.problem) for one in fetched)
    print(f"{len(fetched) - failed} of {len(fetched)} inputs from the hub are in its cache")
    if not failed:
        print("jobs with the same cache (HF_HOME) need no network: let them run with HF_HUB_OFFLINE=1")
    return 1 if failed else 0


COMMAND = Command("prefetch", "download everything that targets need", _add_arguments, _run)
