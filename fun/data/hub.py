"""The publishers' data sets on the hub, by id and revision, kept in its cache."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun.data import facts
from fun.data.base import Source
from fun.errors import ConfigError, FunError, HubError
from fun.machine.hub import Repository, Snapshot, snapshot, unreadable

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
            facts.check_count(where, rows, source.expected_rows(language, theirs))
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        source, theirs = facts.located(dataset, language, split)
        return f"hub:{source.hub.id}@{source.hub.revision}/{source.hub.files[theirs].format(language=language)}"


def load(where: str, repository: Repository, pattern: str) -> "tuple[Parquet, dict[str, str]]":
    """The parquet files that match `pattern`, as one table, and {datasets/<id>: commit} of the repository.

    Raises ConfigError and HubError, `where` first; so does the table, where its files cannot be read.
    """
    from fun.data.parquet import Parquet  # a second to import, which a preview of a run need not wait for

    try:
        copy = snapshot(repository, [pattern])
        files = _downloaded(repository, copy, pattern)
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


def _downloaded(repository: Repository, copy: Snapshot, pattern: str) -> list[Path]:
    """The files in their order; raises HubError where the cache, ConfigError where the repository lacks them."""
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HfHubHTTPError
    from requests import RequestException

    if files := sorted(copy.folder.glob(pattern)):
        return files
    try:
        theirs = list_repo_files(repository.name, repo_type=repository.kind, revision=copy.commit)
    except (HfHubHTTPError, RequestException, ConnectionError) as error:
        raise HubError(
            f"{pattern} of {repository} is not in the cache, and the hub cannot be reached: type the same command on "
            "a machine with a network and the same cache (HF_HOME)"
        ) from error
    raise ConfigError(
        f"{repository} has no {pattern}, but {', '.join(theirs[:3])} and others ({len(theirs)} files): the publisher "
        "may have renamed it, so name an older revision in conf/datasets"
    )
