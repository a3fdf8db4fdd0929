"""Random draws from `random()` alone: the one stream that Python keeps across versions."""

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def below(rng: random.Random, n: int) -> int:
    """A uniform integer in [0, n)."""
    return int(rng.random() * n)


def pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """A uniform choice."""
    return items[below(rng, len(items))]


def other(rng: random.Random, n: int, than: int) -> int:
    """A uniform integer in [0, n) that is not `than`."""
    return (than + 1 + below(rng, n - 1)) % n


def shuffled(rng: random.Random, items: Sequence[Item]) -> list[Item]:
    """The items in random order."""
    return sorted(items, key=lambda _: rng.random())
