"""Where rows come from, and the low-data subsets of them. Imports neither torch nor transformers."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from fun import world
from fun.errors import ConfigError

SUBSET_SEED = 2024
"""Never the run's seed: all methods and seeds of an experiment train on the same examples."""

T = TypeVar("T")


class Source(Protocol):
    """Data sets with the splits train and validation, in the source language, and test."""

    def training_set(self, task: str) -> str:
        """Name of the data set that the task is trained and selected on."""

    def test_sets(self, task: str) -> dict[str, tuple[str, ...]]:
        """Data sets that the task is tested on, with their languages, the source language first."""

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Rows in the publisher's columns."""

    def key(self, dataset: str, language: str, split: str) -> str:
        """Identity of the content of `rows`, without loading it."""


_DATASETS = {"squad": "microqa", "mnli": "micronli", "copa": "microcopa"}
_TASKS = {dataset: task for task, dataset in _DATASETS.items()}


class WorldSource:
    """The miniature multilingual world, which is trained and tested on data sets of the same name."""

    def training_set(self, task: str) -> str:
        """See Source."""
        return _DATASETS[task]

    def test_sets(self, task: str) -> dict[str, tuple[str, ...]]:
        """See Source."""
        return {_DATASETS[task]: world.LANGUAGES}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """See Source."""
        return world.load_split(_TASKS[dataset], language, split)

    def key(self, dataset: str, language: str, split: str) -> str:
        """See Source."""
        return world.data_key(_TASKS[dataset], language, split)


def subset(rows: Sequence[T], size: int | None, rule: Literal["seeded", "first"]) -> list[T]:
    """`size` of the rows (None: all), in their order; raises ConfigError where there are fewer.

    "seeded" takes the first `size` of one fixed random permutation, so that a smaller subset lies in a larger
    one (the paper: "sample"); "first" takes the first rows (the authors' code).
    """
    if size is None:
        return list(rows)
    if not 1 <= size <= len(rows):
        raise ConfigError(
            f"data_size: found {size}, expected 1 to {len(rows)}, the rows of this data set;"
            f" type data_size={len(rows)} or less, or data_size=full"
        )
    if rule == "first":
        return list(rows[:size])
    # RandomState's streams are frozen; those of default_rng may change with numpy's version.
    chosen = np.random.RandomState(SUBSET_SEED).permutation(len(rows))[:size]
    return [rows[index] for index in np.sort(chosen)]
