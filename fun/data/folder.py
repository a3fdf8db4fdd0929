"""The publishers' own files below one folder, `data.root`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun.data import facts, formats
from fun.data.base import Source
from fun.data.facts import File
from fun.data.files import sha256_of
from fun.errors import ConfigError

if TYPE_CHECKING:
    from fun.tasks import Task


class FolderSource(Source):
    """Files below `root`, at the paths of conf/datasets, through the same columns as on the hub.

    All of them must be there. With `nonstandard`, numbers of rows are not checked, substitutes stand in for
    absent files, and the task is tested in the languages whose files are there. Raises ConfigError where `root`
    is no folder.
    """

    def __init__(self, root: str | os.PathLike[str], nonstandard: bool = False) -> None:
        super().__init__()
        self._root = Path(root)
        self._nonstandard = nonstandard
        if not self._root.is_dir():
            raise ConfigError(
                f"data.root is {str(root)!r}, which is no folder: type the folder of the data sets' files"
            )

    def test_sets(self, task: "Task[Any]") -> dict[str, tuple[str, ...]]:
        declared = super().test_sets(task)
        if not self._nonstandard:
            return declared
        present = {
            name: tuple(language for language in languages if self._find(name, language, "test"))
            for name, languages in declared.items()
        }
        if not any(present.values()):
            expected = " or ".join(facts.facts(name).files["test"].path for name in present)
            raise ConfigError(f"found no test file of task={task.name} below {self._root}; expected {expected}")
        return {name: languages for name, languages in present.items() if languages}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        source, theirs = facts.located(dataset, language, split)
        path, file = self._file(dataset, language, split)
        rows = formats.read(path, file.format, language, source.columns, source.labels)[slice(*(file.part or (None,)))]
        if not self._nonstandard:
            facts.check_count(f"{dataset} ({language}, {split})", len(rows), source.expected_rows(language, theirs))
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        # Never its path.
        path, file = self._file(dataset, language, split)
        part = "[{}:{}]".format(*file.part) if file.part else ""
        return f"sha256:{sha256_of(path)}{part}"

    def place(self, dataset: str, language: str, split: str) -> str:
        return str(self._file(dataset, language, split)[0])

    def _file(self, dataset: str, language: str, split: str) -> tuple[Path, File]:
        """The file that holds a split; raises ConfigError where there is none."""
        if present := self._find(dataset, language, split):
            return present
        source, theirs = facts.located(dataset, language, split)
        raise ConfigError(
            f"{dataset} ({language}, {split}): found no file {self._path(source.files[theirs], language)}; put the "
            "publisher's file there, or type data.nonstandard=true to run on what is there, marked and in no paper "
            "table"
        )

    def _find(self, dataset: str, language: str, split: str) -> tuple[Path, File] | None:
        """The split's own file or, with `nonstandard`, its substitute; None where neither is there."""
        source, theirs = facts.located(dataset, language, split)
        candidates = [source.files[theirs]]
        if self._nonstandard and theirs in source.substitutes:
            candidates.append(source.substitutes[theirs])
        for file in candidates:
            path = self._path(file, language)
            if path.is_file() and (file.languages is None or language in file.languages):
                return path, file
        return None

    def _path(self, file: File, language: str) -> Path:
        return self._root / file.path.format(language=language)
