"""Every input of a target's runs beside what was found of it."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from reproduce.carry.preflight.hub import Hub, Result, Unmet
from reproduce.carry.preflight.inputs import Input

WORKERS = 8
"""Places that are asked about at a time."""


class Check(NamedTuple):
    """One input: what was expected and found in its place, and what to do where these are not the same."""

    what: str
    place: str
    expected: str
    found: str
    result: Result
    remedy: str = ""


def check(inputs: Sequence[Input], hub: Hub) -> list[Check]:
    """Look for every input, and tell in their order. Raises HubError where the hub does not answer."""
    places: dict[str, list[Input]] = defaultdict(list)
    for wanted in inputs:
        places[wanted.place].append(wanted)
    workers = ThreadPoolExecutor(WORKERS)
    try:
        # One after the other within a place: the first answer, its listing, serves all.
        groups = workers.map(lambda group: [(wanted, _check(wanted, hub)) for wanted in group], places.values())
        found = dict(pair for group in groups for pair in group)
    finally:
        workers.shutdown(cancel_futures=True)  # without a network the first question is enough
    return [found[wanted] for wanted in inputs]


def _check(wanted: Input, hub: Hub) -> Check:
    try:
        return Check(wanted.what, wanted.place, wanted.expected, wanted.find(hub), Result.ok)
    except Unmet as unmet:
        return Check(wanted.what, wanted.place, wanted.expected, str(unmet), unmet.result, unmet.remedy)
