"""The publishers' own files below one folder, `data.root`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from fun.data import facts, formats
from fun.data.base import Declaration
from fun.data.facts import File
from fun.data.files import sha256_of
from fun.errors import ConfigError


class FolderSource:
    """Files below `root`, at the paths of conf/datasets, through the same columns as on the hub.

    All of them must be there. With `nonstandard`, numbers of rows are not checked, substitutes stand in for
    absent files, and the task is tested in the languages whose files are there. Raises ConfigError where `root`
    is no folder.
    """

    commits: ClassVar[Mapping[str, str]] = {}

    def __init__(self, root: str | os.PathLike[str], nonstandard: bool = False) -> None:
        self._root = Path(root)
        self._nonstandard = nonstandard
        if not self._root.is_dir():
            raise ConfigError(
                f"data.root is {str(root)!r}, which is no folder: type the folder of the data sets' files"
            )

    def training_set(self, task: Declaration) -> str:
        """See Source."""
        return task.training_set

    def test_sets(self, task: Declaration) -> dict[str, tuple[str, ...]]:
        """See Source."""
        if not self._nonstandard:
            return facts.languages_of(task.test_sets)
        present = {
            name: tuple(language for language in languages if self._find(name, language, "test"))
            for name, languages in facts.languages_of(task.test_sets).items()
        }
        if not any(present.values()):
            expected = " or ".join(facts.facts(name).files["test"].path for name in present)
            raise ConfigError(f"found no test file of task={task.name} below {self._root}; expected {expected}")
        return {name: languages for name, languages in present.items() if languages}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """See Source."""
        where = f"{dataset} ({language}, {split})"
        found, _ = facts.located(dataset, language, split)
        path, file = self._file(dataset, language, split)
        rows = formats.read(path, file.format, language, found.columns, found.labels)[slice(*(file.part or (None,)))]
        if not self._nonstandard:
            facts.check_count(where, rows, self.expected_rows(dataset, language, split))
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        """See Source: the hash of the file, and the part of it; never its path."""
        path, file = self._file(dataset, language, split)
        part = "[{}:{}]".format(*file.part) if file.part else ""
        return f"sha256:{sha256_of(path)}{part}"

    def place(self, dataset: str, language: str, split: str) -> str:
        """See Source."""
        return str(self._file(dataset, language, split)[0])

    def expected_rows(self, dataset: str, language: str, split: str) -> int:
        """See Source."""
        found, theirs = facts.located(dataset, language, split)
        return found.expected_rows(language, theirs)

    def _file(self, dataset: str, language: str, split: str) -> tuple[Path, File]:
        """The file that holds a split; raises ConfigError where there is none."""
        if found := self._find(dataset, language, split):
            return found
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
