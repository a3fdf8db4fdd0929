"""The publishers' data sets on the hub, by id and revision, kept in its cache."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fun.data import facts
from fun.data.base import Source
from fun.data.folder import FolderSource
from fun.errors import ConfigError, FunError, HubError
from fun.machine.hub import Hub, Repository, snapshot, unreadable

BY_HAND = "FUN_DATA"
"""The environment's name of a folder, laid out as data.root is, for the data sets that the hub does not have."""


class HubSource(Source):
    """Data sets by id and revision, and `by_hand` those that the hub does not have."""

    def __init__(self, nonstandard: bool = False, by_hand: FolderSource | None = None) -> None:
        super().__init__(nonstandard)
        self._by_hand = by_hand

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Downloads what the cache lacks; without a network the cache alone answers."""
        if folder := self._folder(dataset, language, split):
            return folder.rows(dataset, language, split)
        where = f"{dataset} ({language}, {split})"
        source, _ = facts.located(dataset, language, split)
        table = Parquet(where, *self._files(dataset, language, split))
        self.commits |= table.commits
        facts.check_columns(where, table.columns, source.columns)
        rows = table.rows(source.columns)
        if source.labels:
            _number_labels(where, rows, source.columns[-1], table.names(source.columns[-1]), source.labels)
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

    Raises ConfigError and HubError, `where` first, also where a file is cut off or its text is no UTF-8.
    """

    def __init__(self, where: str, repository: Repository, pattern: str) -> None:
        from pyarrow.dataset import dataset  # a second to import, which a preview of a run need not wait for

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
            self._content = dataset(files, format="parquet")
        self.columns: list[str] = self._content.schema.names

    def __len__(self) -> int:
        with self._reading():
            return int(self._content.count_rows())

    def names(self, column: str) -> list[str] | None:
        """The names of a column's numbers 0, 1, …, as `datasets` writes them beside it; None where it has none."""
        described = (self._content.schema.metadata or {}).get(b"huggingface")
        features = json.loads(described)["info"]["features"] if described else {}
        feature = features.get(column, {})
        names: list[str] | None = feature.get("feature", feature).get("names")  # of a list's elements
        return names

    def rows(self, columns: Sequence[str], positions: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """The rows with these columns, all or those at ascending positions."""
        with self._reading():
            read = self._content.scanner(columns=list(columns))
            table = read.to_table() if positions is None else read.take(positions)
            rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """While a file is read."""
        from pyarrow import ArrowException

        try:
            yield
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            raise HubError(f"{self._where}: {unreadable(self._repository, self._copy, error)}") from error


def _number_labels(
    where: str, rows: list[dict[str, Any]], column: str, names: list[str] | None, labels: tuple[str, ...]
) -> None:
    """Give a column the numbers of `labels`, where the file names its own; -1 stays (no label).

    Raises ConfigError for names that are not these.
    """
    if names is None or tuple(names) == labels:
        return
    if set(names) != set(labels):
        raise ConfigError(
            f"{where}: found the labels {', '.join(names)}, expected {', '.join(labels)}: name an older revision in "
            "conf/datasets"
        )
    ours = {number: labels.index(name) for number, name in enumerate(names)} | {-1: -1}
    for row in rows:
        numbers = row[column]
        row[column] = [ours[number] for number in numbers] if isinstance(numbers, list) else ours[numbers]
