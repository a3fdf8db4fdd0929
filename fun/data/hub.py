"""The publishers' data sets on the hub, by id and revision, kept in its cache."""

from typing import TYPE_CHECKING, Any

from fun.data import facts
from fun.data.base import Source
from fun.data.folder import FolderSource
from fun.errors import ConfigError, FunError, HubError
from fun.machine.hub import Hub, Repository, snapshot, unreadable

if TYPE_CHECKING:
    from fun.data.parquet import Parquet

BY_HAND = "FUN_DATA"
"""The environment's name of a folder, laid out as data.root is, for the data sets that the hub does not have."""


class HubSource(Source):
    """Data sets by id and revision, and `by_hand` those that the hub does not have. With `nonstandard` their numbers of
    rows are not checked."""

    def __init__(self, nonstandard: bool = False, by_hand: FolderSource | None = None) -> None:
        super().__init__()
        self._nonstandard = nonstandard
        self._by_hand = by_hand

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Downloads what the cache lacks; without a network the cache alone answers."""
        if folder := self._folder(dataset, language, split):
            return folder.rows(dataset, language, split)
        where = f"{dataset} ({language}, {split})"
        source, theirs = facts.located(dataset, language, split)
        table, read = load(where, *self._files(dataset, language, split))
        self.commits |= read
        facts.check_columns(where, table.columns, source.columns)
        rows = table.rows(source.columns)
        if source.labels:
            _number_labels(where, rows, source.columns[-1], table.names(source.columns[-1]), source.labels)
        if not self._nonstandard:
            facts.check_count(where, len(rows), source.expected_rows(language, theirs))
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
        source, theirs = facts.located(dataset, language, split)
        repository, pattern = self._files(dataset, language, split)
        names = hub.matching(repository, pattern)
        where, count = f"{dataset} ({language}, {split})", 0
        for columns, rows in (hub.table(repository, name) for name in names):
            facts.check_columns(where, columns, source.columns)
            count += rows
        if not self._nonstandard:
            facts.check_count(where, count, source.expected_rows(language, theirs))
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


def load(where: str, repository: Repository, pattern: str) -> "tuple[Parquet, dict[str, str]]":
    """The parquet files that match `pattern`, as one table, and {datasets/<id>: commit} of the repository.

    Raises ConfigError and HubError, `where` first; so does the table, where its files cannot be read.
    """
    from fun.data.parquet import Parquet  # a second to import, which a preview of a run need not wait for

    try:
        copy = snapshot(repository, [pattern])
        files = sorted(copy.folder.glob(pattern))
        if not files:
            Hub().matching(repository, pattern)  # which says what there is instead
            raise HubError(f"{pattern} of {repository} is not in the cache: type the same command again")
    except FunError as error:
        raise type(error)(f"{where}: {error}; or read the publisher's files with data.root=DIR") from error
    table = Parquet(files, lambda error: HubError(f"{where}: {unreadable(repository, copy, error)}"))
    # A model may have the same id: the hub itself tells them apart by this prefix.
    return table, {f"datasets/{repository.name}": copy.commit}


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
