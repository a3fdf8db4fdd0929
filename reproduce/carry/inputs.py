"""What runs read: looked for where it should be (`preflight`), or brought into the hub's cache (`prefetch`)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fun.config import RunConfig
from fun.errors import ConfigError, FunError
from fun.inputs import Input, Rows, compose, inputs_of
from fun.machine.hub import Hub
from fun.results import Damaged


class Check(NamedTuple):
    """An input, and what is there: as it should be (`ok`), or what to do."""

    name: str
    place: str
    ok: bool
    told: str


def preflight(configs: Iterable[RunConfig], results: Path, hub: Hub) -> list[Check]:
    """Look for every input once, and download none. Raises HubError where the hub does not answer.

    What our own runs make is looked for below the results root `results`; of one that is still to be made, the inputs
    of its making are looked for too.
    """
    places: dict[str, Input] = {}
    waiting = list(configs)
    while waiting:
        for each in inputs_of(waiting.pop(0)):
            if each.place not in places:
                places[each.place] = each
                with suppress(Damaged):  # told of its place
                    waiting += [compose(each.producer())] if each.producer() and each.gap(results) else []
    repositories: dict[str, list[Input]] = defaultdict(list)
    for place, each in places.items():
        repositories[place.partition("@")[0]].append(each)
    workers = ThreadPoolExecutor(8)
    try:
        # One after the other within a repository: the first answer, its listing, serves all.
        asked = workers.map(lambda inputs: [_check(each, results, hub) for each in inputs], repositories.values())
        return [check for checks in asked for check in checks]
    finally:
        workers.shutdown(cancel_futures=True)  # without a network the first question is enough


def _check(each: Input, results: Path, hub: Hub) -> Check:
    try:
        gap = each.gap(results)
        return Check(each.name, each.place, not gap, gap or each.check(hub))
    except (ConfigError, Damaged) as error:
        return Check(each.name, each.place, False, str(error))


def prefetch(configs: Iterable[RunConfig]) -> Iterator[tuple[str, str]]:
    """Bring every input of the runs that comes from the hub into the cache, each once; one by one.

    Yields its place, and what went wrong: empty where it is in the cache. What the hub does not have and nobody has put
    here is told once per data set, by its name.
    """
    by_hand = set()
    for place, each in {each.place: each for config in configs for each in inputs_of(config)}.items():
        if place.startswith("hub:"):
            try:
                each.fetch()
            except FunError as error:
                yield place, str(error)
            else:
                yield place, ""
        elif (
            isinstance(each, Rows)
            and each.dataset not in by_hand
            and (gap := each.data.gap(each.dataset, each.language, each.split))
        ):
            by_hand.add(each.dataset)
            yield each.dataset, gap
