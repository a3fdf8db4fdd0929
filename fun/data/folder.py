"""The publishers' own files below one folder, `data.root`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun.data import facts, formats
from fun.data.base import Source
from fun.data.facts import File
from fun.data.files import HASH, content_key, sha256_of
from fun.errors import ConfigError
from fun.machine.hub import Hub

if TYPE_CHECKING:
    from fun.tasks import Task


class FolderSource(Source):
    """Files below `root`, at the paths of conf/datasets, through the same columns as on the hub.

    All of them must be there, or copies, or hashes in their place (`fun.data.files.HASH`), which name runs and give no
    rows. With `nonstandard`, substitutes stand in for absent files, and the task is tested in the languages whose files
    are there. Raises ConfigError where `root`, which `name` gives, is no folder.
    """

    def __init__(self, root: str | Path, nonstandard: bool = False, name: str = "data.root") -> None:
        super().__init__(nonstandard)
        self._root = Path(root)
        if not self._root.is_dir():
            raise ConfigError(f"{name} is {str(root)!r}, which is no folder: type the folder of the data sets' files")

    def test_sets(self, task: "Task[Any]") -> dict[str, tuple[str, ...]]:
        declared = super().test_sets(task)
        if not self.nonstandard:
            return declared
        present = {
            name: tuple(language for language in languages if self.find(name, language, "test"))
            for name, languages in declared.items()
        }
        if not any(present.values()):
            expected = " or ".join(facts.facts(name).files["test"].path for name in present)
            raise ConfigError(f"found no test file of task={task.name} below {self._root}; expected {expected}")
        return {name: languages for name, languages in present.items() if languages}

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        source, _ = facts.located(dataset, language, split)
        paths, file = self._files(dataset, language, split)
        if absent := [path for path in paths if path.suffix == HASH]:
            raise ConfigError(f"{absent[0]} is the hash of a file that is not here: give a folder that has the file")
        rows = [row for path in paths for row in formats.read(path, file, language, source.columns, source.labels)]
        rows = rows[slice(*(file.part or (None,)))]
        self.check_count(len(rows), dataset, language, split)
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        # Never its path.
        paths, file = self._files(dataset, language, split)
        part = "[{}:{}]".format(*file.part) if file.part else ""
        return f"{content_key(paths)}{part}"

    def place(self, dataset: str, language: str, split: str) -> str:
        return ", ".join(map(str, self._files(dataset, language, split)[0]))

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        """Its rows, and where the archive that it was unpacked from lies beside it, that this is the publisher's."""
        name, expected = facts.located(dataset, language, split)[0].archive or ("", "")
        if name and (packed := self._root / name).is_file() and (found := sha256_of(packed)) != expected:
            raise ConfigError(
                f"{packed} has the sha256 {found}, expected {expected}: get the publisher's file again and unpack "
                "that; where it has changed, take it out of data.root, and the numbers of rows decide"
            )
        return super().check(hub, dataset, language, split)

    def _files(self, dataset: str, language: str, split: str) -> tuple[list[Path], File]:
        """The files that hold a split, in the order of their names; raises ConfigError where there is none."""
        if present := self.find(dataset, language, split):
            return present
        source, theirs = facts.located(dataset, language, split)
        raise ConfigError(
            f"{dataset} ({language}, {split}): found no file {self._root / source.files[theirs].of(language)}; "
            f"{source.by_hand}, or type data.nonstandard=true to run on what is there, marked and in no paper table"
        )

    def find(self, dataset: str, language: str, split: str) -> tuple[list[Path], File] | None:
        """The split's own file, a copy or, with `nonstandard`, its substitute; None where none is there."""
        source, theirs = facts.located(dataset, language, split)
        candidates = [source.files[theirs], *source.copies.get(theirs, ())]
        if self.nonstandard and theirs in source.substitutes:
            candidates.append(source.substitutes[theirs])
        for file in candidates:
            if file.languages is None or language in file.languages:
                for pattern in (file.of(language), file.of(language) + HASH):
                    if paths := [path for path in self._root.glob(pattern) if path.is_file()]:
                        return sorted(paths, key=lambda path: path.name), file
        return None
