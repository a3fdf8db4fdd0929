"""The publishers' data sets on the hub, by id and revision, kept in its cache."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun.data import facts
from fun.data.base import Declaration
from fun.errors import ConfigError, FunError, HubError

if TYPE_CHECKING:
    from datasets import Dataset

    from fun.machine.hub import Repository, Snapshot


class HubSource:
    """Data sets by id and revision. With `nonstandard` their numbers of rows are not checked."""

    def __init__(self, nonstandard: bool = False) -> None:
        self._nonstandard = nonstandard
        self.commits: dict[str, str] = {}

    def training_set(self, task: Declaration) -> str:
        """See Source."""
        return task.training_set

    def test_sets(self, task: Declaration) -> dict[str, tuple[str, ...]]:
        """See Source."""
        return facts.languages_of(task.test_sets)

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        """See Source. Downloads what the cache lacks; without a network the cache alone answers."""
        # Imported here: it takes a second, and a preview of a run needs none of it.
        from fun.machine.hub import Repository

        where = f"{dataset} ({language}, {split})"
        found, theirs = facts.located(dataset, language, split)
        repository = Repository(found.hub.id, found.hub.revision, kind="dataset")
        table, read = load(where, repository, found.hub.files[theirs].format(language=language))
        self.commits |= read
        facts.check_columns(where, table.column_names, found.columns)
        rows: list[dict[str, Any]] = table.select_columns(list(found.columns)).to_list()
        if not self._nonstandard:
            facts.check_count(where, rows, self.expected_rows(dataset, language, split))
        return rows

    def key(self, dataset: str, language: str, split: str) -> str:
        """See Source: repository, revision and files."""
        found, theirs = facts.located(dataset, language, split)
        return f"hub:{found.hub.id}@{found.hub.revision}/{found.hub.files[theirs].format(language=language)}"

    def expected_rows(self, dataset: str, language: str, split: str) -> int:
        """See Source."""
        found, theirs = facts.located(dataset, language, split)
        return found.expected_rows(language, theirs)


def load(where: str, repository: "Repository", pattern: str) -> tuple["Dataset", dict[str, str]]:
    """The parquet files that match `pattern`, as one table, and {datasets/<id>: commit} of the repository.

    Raises ConfigError and HubError, `where` first.
    """
    import datasets
    import pyarrow

    from fun.machine.hub import first_line, snapshot, unreadable

    try:
        found = snapshot(repository, [pattern])
        files = _downloaded(repository, found, pattern)
    except FunError as error:
        raise type(error)(f"{where}: {error}; or read the publisher's files with data.root=DIR") from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what goes wrong is said below, once
    try:
        table = datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train")
    except (datasets.exceptions.DatasetGenerationError, pyarrow.ArrowException) as error:
        raise HubError(f"{where}: {unreadable(repository, found, _origin(error))}") from error
    except OSError as error:
        raise HubError(
            f"{where}: cannot be kept in the cache of datasets ({first_line(error)}): type export "
            "HF_DATASETS_CACHE=FOLDER with a folder that can be written"
        ) from error
    # A model may have the same id: the hub itself tells them apart by this prefix.
    return table, {f"datasets/{repository.name}": found.commit}


def _downloaded(repository: "Repository", found: "Snapshot", pattern: str) -> list[Path]:
    """The files in their order; raises HubError where the cache, ConfigError where the repository lacks them."""
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HfHubHTTPError
    from requests import RequestException

    if files := sorted(found.folder.glob(pattern)):
        return files
    try:
        theirs = list_repo_files(repository.name, repo_type=repository.kind, revision=found.commit)
    except (HfHubHTTPError, RequestException, ConnectionError) as error:
        raise HubError(
            f"{pattern} of {repository} is not in the cache, and the hub cannot be reached: type the same command on "
            "a machine with a network and the same cache (HF_HOME)"
        ) from error
    raise ConfigError(
        f"{repository} has no {pattern}, but {', '.join(theirs[:3])} and others ({len(theirs)} files): the publisher "
        "may have renamed it, so name an older revision in conf/datasets"
    )


def _origin(error: BaseException) -> Exception:
    """The exception that the library started from."""
    while error.__cause__ is not None:
        error = error.__cause__
    assert isinstance(error, Exception)
    return error
