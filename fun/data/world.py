"""The miniature multilingual world as a source."""

from collections.abc import Mapping
from typing import Any, ClassVar

from fun import world
from fun.world.splits import SIZES

_DATASETS = {"squad": "microqa", "mnli": "micronli", "copa": "microcopa"}
_TASKS = {dataset: task for task, dataset in _DATASETS.items()}


class WorldSource:
    """The miniature multilingual world, which is trained and tested on data sets of the same name.

    It is tested in all languages of its encoder and in those of `unseen` (of `world.UNSEEN`).
    """

    commits: ClassVar[Mapping[str, str]] = {}

    def __init__(self, unseen: tuple[str, ...] = ()) -> None:
        self._unseen = unseen

    def training_set(self, task: str) -> str:
        """See Source."""
        return _DATASETS[task]

    def test_sets(self, task: str) -> dict[str, tuple[str, ...]]:
        """See Source."""
        return {_DATASETS[task]: (*world.LANGUAGES, *self._unseen)}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """See Source."""
        return world.load_split(_TASKS[dataset], language, split)

    def key(self, dataset: str, language: str, split: str) -> str:
        """See Source."""
        return world.data_key(_TASKS[dataset], language, split)

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        """See Source."""
        return SIZES[_TASKS[dataset]][split]
