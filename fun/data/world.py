"""The miniature multilingual world as a source."""

from collections.abc import Mapping
from typing import Any, ClassVar

from fun import world
from fun.data.base import Declaration
from fun.errors import ConfigError
from fun.world.splits import SIZES


class WorldSource:
    """The miniature multilingual world, where a task is trained and tested on one data set.

    It is tested in all languages of its encoder and in those of `unseen` (of `world.UNSEEN`).
    """

    commits: ClassVar[Mapping[str, str]] = {}

    def __init__(self, unseen: tuple[str, ...] = ()) -> None:
        self._unseen = unseen

    def training_set(self, task: Declaration) -> str:
        """See Source."""
        if task.world is None:
            raise ConfigError(f"task={task.name} has no data set in the miniature world: type model=mbert")
        return task.world

    def test_sets(self, task: Declaration) -> dict[str, tuple[str, ...]]:
        """See Source."""
        return {self.training_set(task): (*world.LANGUAGES, *self._unseen)}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """See Source."""
        return world.load_split(_kind(dataset), language, split)

    def key(self, dataset: str, language: str, split: str) -> str:
        """See Source."""
        return world.data_key(_kind(dataset), language, split)

    def place(self, dataset: str, language: str, split: str) -> str:
        """See Source."""
        return self.key(dataset, language, split)

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        """See Source."""
        return SIZES[_kind(dataset)][split]


def _kind(dataset: str) -> str:
    """The rows of a data set, which the world calls by the data set whose columns they have."""
    if dataset not in world.DATASETS:
        raise ConfigError(f"the miniature world has no data set {dataset!r}: expected {', '.join(world.DATASETS)}")
    return world.DATASETS[dataset]
