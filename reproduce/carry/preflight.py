"""Looks for every input of runs where it should be, on the hub or here, and downloads none."""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fun.config import RunConfig
from fun.errors import ConfigError
from fun.inputs import Input, compose, inputs_of
from fun.machine.hub import Hub
from fun.results import Damaged

WORKERS = 8
"""Repositories that are asked about at a time."""


class Check(NamedTuple):
    """An input, and what is there: as it should be (`ok`), or what to do."""

    name: str
    place: str
    ok: bool
    told: str


def preflight(configs: Iterable[RunConfig], results: Path, hub: Hub) -> list[Check]:
    """Look for every input once. Raises HubError where the hub does not answer.

    What our own runs make is looked for below the results root `results`; of one that is still to be made, the inputs
    of its making are looked for too.
    """
    repositories: dict[str, list[Input]] = defaultdict(list)
    for place, each in _places(configs, results).items():
        repositories[place.partition("@")[0]].append(each)
    workers = ThreadPoolExecutor(WORKERS)
    try:
        # One after the other within a repository: the first answer, its listing, serves all.
        asked = workers.map(lambda inputs: [_check(each, results, hub) for each in inputs], repositories.values())
        return [check for checks in asked for check in checks]
    finally:
        workers.shutdown(cancel_futures=True)  # without a network the first question is enough


def _places(configs: Iterable[RunConfig], results: Path) -> dict[str, Input]:
    """Place -> what should be there."""
    places: dict[str, Input] = {}
    waiting = list(configs)
    while waiting:
        for each in inputs_of(waiting.pop(0)):
            if each.place not in places:
                places[each.place] = each
                with suppress(Damaged):  # told of its place
                    waiting += [compose(each.producer())] if each.producer() and each.gap(results) else []
    return places


def _check(each: Input, results: Path, hub: Hub) -> Check:
    try:
        if gap := each.gap(results):
            return Check(each.name, each.place, False, gap)
        return Check(each.name, each.place, True, each.check(hub))
    except (ConfigError, Damaged) as error:
        return Check(each.name, each.place, False, str(error))
