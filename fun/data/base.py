"""What every source offers, and what is done with its rows alike."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from fun.errors import ConfigError

SUBSET_SEED = 2024
"""Never the run's seed: all methods and seeds of an experiment train on the same examples."""

T = TypeVar("T")


class Declaration(Protocol):
    """What a source asks of a task: the names of its data sets (see `fun.tasks.base.Task`)."""

    @property
    def name(self) -> str: ...
    @property
    def training_set(self) -> str: ...
    @property
    def test_sets(self) -> tuple[str, ...]: ...
    @property
    def world(self) -> str | None: ...


class Source(Protocol):
    """Data sets with the splits train and validation, in the source language, and test.

    `commits` says which commits of the hub's data sets were read so far, {datasets/<id>: commit}. Every method raises
    ConfigError for a task, data set, language or split that the source does not have.
    """

    @property
    def commits(self) -> Mapping[str, str]: ...

    def training_set(self, task: Declaration) -> str:
        """Name of the data set that the task is trained and selected on."""

    def test_sets(self, task: Declaration) -> dict[str, tuple[str, ...]]:
        """Data sets that the task is tested on, with their languages, the source language first."""

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Rows in the publisher's columns.

        Raises ConfigError where they are not what the facts about the data set say, HubError where a download
        fails.
        """

    def key(self, dataset: str, language: str, split: str) -> str:
        """Identity of the content of `rows`, without a download and without reading any row."""

    def place(self, dataset: str, language: str, split: str) -> str:
        """Where the rows lie, for people."""

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        """The number of rows that the facts about the data set state; None where they state none."""


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
