"""Where rows come from: the miniature world, the publishers' files in a folder, and the hub by id and revision."""

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun import world
from fun.data import facts, formats
from fun.data.base import Source
from fun.data.facts import File
from fun.data.files import HASH, content_key, sha256_of
from fun.errors import ConfigError, FunError, HubError
from fun.machine.hub import Hub, Repository, snapshot, unreadable

if TYPE_CHECKING:
    from fun.tasks import Task

BY_HAND = "FUN_DATA"
"""The environment's name of a folder, laid out as data.root is, for the data sets that the hub does not have."""


class WorldSource(Source):
    """The miniature multilingual world, where a task is trained and tested on one data set. It is tested in all
    languages of its encoder and in those of `unseen` (of `world.UNSEEN`)."""

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
        paths, file = self._files(dataset, language, split)  # whose names never enter
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


class HubSource(Source):
    """Data sets by id and revision, and `by_hand` those that the hub does not have."""

    def __init__(self, nonstandard: bool = False, by_hand: FolderSource | None = None) -> None:
        super().__init__(nonstandard)
        self._by_hand = by_hand

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Downloads what the cache lacks; without a network the cache alone answers."""
        if folder := self._folder(dataset, language, split):
            return folder.rows(dataset, language, split)
        source, _ = facts.located(dataset, language, split)
        table = Parquet(f"{dataset} ({language}, {split})", *self._files(dataset, language, split))
        self.commits |= table.commits
        rows = table.rows(source.columns)
        if source.labels:
            table.number(rows, source.columns[-1], source.labels)
        self.check_count(len(rows), dataset, language, split)
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        if folder := self._folder(dataset, language, split):
            return folder.key(dataset, language, split)
        source, theirs = facts.located(dataset, language, split)
        if source.hub is None:
            return f"by hand:{dataset}/{language}/{theirs}"  # of a run that is planned, and told its gap
        return f"hub:{source.hub.id}@{source.hub.revision}/{source.hub.files[theirs].format(language=language)}"

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        """What its files say of `rows`."""
        if folder := self._folder(dataset, language, split):
            return folder.check(hub, dataset, language, split)
        source, _ = facts.located(dataset, language, split)
        repository, pattern = self._files(dataset, language, split)
        count = 0
        for name in hub.matching(repository, pattern):
            columns, rows = hub.table(repository, name)
            facts.check_columns(f"{dataset} ({language}, {split})", columns, source.columns)
            count += rows
        self.check_count(count, dataset, language, split)
        return f"{', '.join(source.columns)}: {count:,} rows"

    def gap(self, dataset: str, language: str, split: str) -> str | None:
        source, _ = facts.located(dataset, language, split)
        if source.hub is not None or self._folder(dataset, language, split):
            return None
        found = f"{dataset} ({language}, {split}) is not on the hub"
        return f"{found}: {source.by_hand}, and type data.root=DIR, or export {BY_HAND}=DIR for all commands"

    def place(self, dataset: str, language: str, split: str) -> str:
        folder = self._folder(dataset, language, split)
        return folder.place(dataset, language, split) if folder else super().place(dataset, language, split)

    def _folder(self, dataset: str, language: str, split: str) -> FolderSource | None:
        """The folder that has the rows, where the hub does not have the data set."""
        missing = facts.located(dataset, language, split)[0].hub is None
        return self._by_hand if missing and self._by_hand and self._by_hand.find(dataset, language, split) else None

    def _files(self, dataset: str, language: str, split: str) -> tuple[Repository, str]:
        """Where the parquet files of a split lie."""
        source, theirs = facts.located(dataset, language, split)
        if source.hub is None:
            raise ConfigError(self.gap(dataset, language, split))
        repository = Repository(source.hub.id, source.hub.revision, kind="dataset")
        return repository, source.hub.files[theirs].format(language=language)


class Parquet:
    """A repository's parquet files that match `pattern`, as one table: `datasets` takes their names for patterns.
    Raises ConfigError and HubError, `where` first, also where a file is cut off or its text is no UTF-8."""

    def __init__(self, where: str, repository: Repository, pattern: str) -> None:
        from pyarrow import dataset  # a second to import, which a preview of a run need not wait for

        self._where, self._repository = where, repository
        try:
            self._copy = snapshot(repository, [pattern])
            files = sorted(self._copy.folder.glob(pattern))
            if not files:
                Hub().matching(repository, pattern)  # which says what there is instead
                raise HubError(f"{pattern} of {repository} is not in the cache: type the same command again")
        except FunError as error:
            raise type(error)(f"{where}: {error}; or read the publisher's files with data.root=DIR") from error
        # A model may have the same id: the hub itself tells them apart by this prefix.
        self.commits = {f"datasets/{repository.name}": self._copy.commit}
        with self._reading():
            self._content = dataset.dataset(files, format="parquet")

    def __len__(self) -> int:
        with self._reading():
            return int(self._content.count_rows())

    def rows(self, columns: tuple[str, ...], positions: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """The rows with these columns, all or those at ascending positions; of a group without any nothing is read."""
        rows: list[dict[str, Any]] = []
        begin = 0
        with self._reading():
            for file in self._content.get_fragments():
                facts.check_columns(self._where, file.physical_schema.names, columns)
                for group in file.split_by_row_group():  # one at a time: a language of Wikipedia is larger than memory
                    end = begin + sum(part.num_rows for part in group.row_groups)
                    wanted = range(begin, end) if positions is None else _between(positions, begin, end)
                    if wanted:
                        table = group.to_table(columns=list(columns))
                        rows += table.take([position - begin for position in wanted]).to_pylist()
                    begin = end
        return rows

    def number(self, rows: list[dict[str, Any]], column: str, labels: tuple[str, ...]) -> None:
        """Give a column of `rows` the numbers of `labels`, where the files have names for its own, as `datasets` writes
        them; -1 stays (no label). Raises ConfigError for names that are not these."""
        described = (self._content.schema.metadata or {}).get(b"huggingface")
        features = json.loads(described)["info"]["features"] if described else {}
        feature = features.get(column, {})
        names = feature.get("feature", feature).get("names")  # of a list's elements
        if names is None or tuple(names) == labels:
            return
        if set(names) != set(labels):
            raise ConfigError(
                f"{self._where}: found the labels {', '.join(names)}, expected {', '.join(labels)}: name an older "
                "revision in conf/datasets"
            )
        ours = {number: labels.index(name) for number, name in enumerate(names)} | {-1: -1}
        for row in rows:
            numbers = row[column]
            row[column] = [ours[number] for number in numbers] if isinstance(numbers, list) else ours[numbers]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """While a file is read."""
        from pyarrow import ArrowException

        try:
            yield
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            raise HubError(f"{self._where}: {unreadable(self._repository, self._copy, error)}") from error


def _between(positions: Sequence[int], begin: int, end: int) -> Sequence[int]:
    return positions[bisect_left(positions, begin) : bisect_left(positions, end)]


def _kind(dataset: str) -> str:
    """The rows of a data set, which the world calls by the data set whose columns they have."""
    if dataset not in world.DATASETS:
        raise ConfigError(f"the miniature world has no data set {dataset!r}: expected {', '.join(world.DATASETS)}")
    return world.DATASETS[dataset]
