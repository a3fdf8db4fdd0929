"""What every source offers, and what is done with its rows alike."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from fun.data import facts
from fun.errors import ConfigError
from fun.machine.hub import Hub

if TYPE_CHECKING:
    from fun.tasks import Task

SUBSET_SEED = 2024
"""Never the run's seed: all methods and seeds of an experiment train on the same examples."""

T = TypeVar("T")


class Source(ABC):
    """Data sets with the splits train and validation, in the source language, and test; the publishers', unless said.
    Every method raises ConfigError for a task, data set, language or split that the source does not have. With
    `nonstandard` numbers of rows are not checked."""

    def __init__(self, nonstandard: bool = False) -> None:
        self.nonstandard = nonstandard
        self.commits: dict[str, str] = {}
        """Which commits of the hub's data sets were read so far, {datasets/<id>: commit}."""

    def training_set(self, task: "Task[Any]") -> str:
        """Name of the data set that the task is trained and selected on."""
        return task.training_set

    def test_sets(self, task: "Task[Any]") -> dict[str, tuple[str, ...]]:
        """Data sets that the task is tested on, with their languages, the source language first."""
        languages: dict[str, tuple[str, ...]] = {}
        for dataset in map(facts.facts, task.test_sets):  # of two declarations of one data set, the languages of both
            languages[dataset.name] = tuple(dict.fromkeys((*languages.get(dataset.name, ()), *dataset.languages)))
        return languages

    @abstractmethod
    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Rows in the publisher's columns. Raises ConfigError where they are not what the facts about the data set say,
        HubError where a download fails."""

    @abstractmethod
    def key(self, dataset: str, language: str, split: str) -> str:
        """Identity of the content of `rows`, without a download and without reading any row."""

    def place(self, dataset: str, language: str, split: str) -> str:
        """Where the rows lie, for people."""
        return self.key(dataset, language, split)

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        """What there is of the rows, told without a download. Raises ConfigError and HubError."""
        return f"{len(self.rows(dataset, language, split)):,} rows"

    def gap(self, dataset: str, language: str, split: str) -> str | None:
        """How to come by the rows, where this source has no way to them; None where it has."""
        return None

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        """The number of rows that the facts about the data set state; None where they state none."""
        declared, theirs = facts.located(dataset, language, split)
        return declared.expected_rows(language, theirs)

    def check_count(self, count: int, dataset: str, language: str, split: str) -> None:
        """Raise ConfigError unless there are as many rows as the paper's data set has."""
        if not self.nonstandard and count != (expected := self.expected_rows(dataset, language, split)):
            raise ConfigError(
                f"{dataset} ({language}, {split}): found {count:,} rows, expected {expected:,}; to run on other data "
                "all the same, marked and in no paper table, type data.nonstandard=true"
            )


def subset(rows: Sequence[T], size: int | None, rule: Literal["seeded", "first"]) -> list[T]:
    """`size` of the rows (None: all), in their order; raises ConfigError where there are fewer.

    "seeded" takes the first `size` of one fixed random permutation, so that a smaller subset lies in a larger
    one (the paper: "sample"); "first" takes the first rows (the authors' code).
    """
    if size is not None and not 1 <= size <= len(rows):
        raise ConfigError(
            f"data_size: found {size}, expected 1 to {len(rows)}, the rows of this data set;"
            f" type data_size={len(rows)} or less, or data_size=full"
        )
    return list(rows[:size]) if rule == "first" else [rows[index] for index in shuffled(len(rows), slice(size))]


def shuffled(rows: int, part: slice) -> list[int]:
    """The positions that lie in this part of the one fixed random permutation of so many rows, in ascending order."""
    # RandomState's streams are frozen; those of default_rng may change with numpy's version.
    return sorted(np.random.RandomState(SUBSET_SEED).permutation(rows)[part].tolist())
