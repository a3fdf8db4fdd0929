"""The publishers' data sets on the hub, by id and revision, kept in its cache."""

from typing import TYPE_CHECKING, Any

from fun.data import facts
from fun.data.base import Source
from fun.errors import ConfigError, FunError, HubError
from fun.machine.hub import Hub, Repository, snapshot, unreadable

if TYPE_CHECKING:
    from fun.data.parquet import Parquet


class HubSource(Source):
    """Data sets by id and revision. With `nonstandard` their numbers of rows are not checked."""

    def __init__(self, nonstandard: bool = False) -> None:
        super().__init__()
        self._nonstandard = nonstandard

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """Downloads what the cache lacks; without a network the cache alone answers."""
        where = f"{dataset} ({language}, {split})"
        source, theirs = facts.located(dataset, language, split)
        repository = Repository(source.hub.id, source.hub.revision, kind="dataset")
        table, read = load(where, repository, source.hub.files[theirs].format(language=language))
        self.commits |= read
        facts.check_columns(where, table.columns, source.columns)
        rows = table.rows(source.columns)
        _number_labels(where, rows, table.names("label"), source.labels)
        if not self._nonstandard:
            facts.check_count(where, len(rows), source.expected_rows(language, theirs))
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        source, theirs = facts.located(dataset, language, split)
        return f"hub:{source.hub.id}@{source.hub.revision}/{source.hub.files[theirs].format(language=language)}"

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        """What its files say of `rows`, without a download. Raises ConfigError and HubError as `rows` does."""
        source, theirs = facts.located(dataset, language, split)
        repository = Repository(source.hub.id, source.hub.revision, kind="dataset")
        names = hub.matching(repository, source.hub.files[theirs].format(language=language))
        where, count = f"{dataset} ({language}, {split})", 0
        for columns, rows in (hub.table(repository, name) for name in names):
            facts.check_columns(where, columns, source.columns)
            count += rows
        if not self._nonstandard:
            facts.check_count(where, count, source.expected_rows(language, theirs))
        return f"{', '.join(source.columns)}: {count:,} rows"


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


def _number_labels(where: str, rows: list[dict[str, Any]], names: list[str] | None, labels: tuple[str, ...]) -> None:
    """Give column `label` the numbers of `labels`, where the file names its own; -1 stays (no label).

    Raises ConfigError for names that are not these.
    """
    if not labels or names is None or tuple(names) == labels:
        return
    if set(names) != set(labels):
        raise ConfigError(
            f"{where}: found the labels {', '.join(names)}, expected {', '.join(labels)}: name an older revision in "
            "conf/datasets"
        )
    for row in rows:
        row["label"] = labels.index(names[row["label"]]) if row["label"] >= 0 else row["label"]
