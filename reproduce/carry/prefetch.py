"""Downloads what runs read from the hub into its cache, so that they work without a network."""

from collections.abc import Iterable, Iterator

from fun.config import RunConfig
from fun.errors import FunError
from fun.inputs import Rows, inputs_of


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
