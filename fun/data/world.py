"""The miniature multilingual world as a source."""

from typing import TYPE_CHECKING, Any

from fun import world
from fun.data.base import Source
from fun.errors import ConfigError

if TYPE_CHECKING:
    from fun.tasks import Task


class WorldSource(Source):
    """The miniature multilingual world, where a task is trained and tested on one data set.

    It is tested in all languages of its encoder and in those of `unseen` (of `world.UNSEEN`).
    """

    def __init__(self, unseen: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._unseen = unseen

    def training_set(self, task: "Task[Any]") -> str:
        if task.world is None:
            raise ConfigError(f"task={task.name} has no data set in the miniature world: type model=mbert")
        return task.world

    def test_sets(self, task: "Task[Any]") -> dict[str, tuple[str, ...]]:
        return {self.training_set(task): (*world.LANGUAGES, *self._unseen)}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        return world.load_split(_kind(dataset), language, split)

    def key(self, dataset: str, language: str, split: str) -> str:
        return world.key(f"splits/{_kind(dataset)}/{language}/{split}")

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        return world.TASKS[_kind(dataset)].sizes[split]


def _kind(dataset: str) -> str:
    """The rows of a data set, which the world calls by the data set whose columns they have."""
    if dataset not in world.DATASETS:
        raise ConfigError(f"the miniature world has no data set {dataset!r}: expected {', '.join(world.DATASETS)}")
    return world.DATASETS[dataset]
