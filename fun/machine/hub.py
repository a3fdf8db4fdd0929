"""Repositories of the hub, downloaded into its cache or only asked about, with one line for whatever can go wrong.

Downloading is kept apart from loading: transformers and adapters then read a local folder, where neither looks
for other formats of the weights nor asks the network again.
"""

import errno
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from fun.errors import ConfigError, HubError


class Repository(NamedTuple):
    """A repository: `namespace/name`, and a branch, tag or commit; None is the newest commit of main."""

    name: str
    revision: str | None
    kind: Literal["model", "dataset"] = "model"

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


class Snapshot(NamedTuple):
    """Files of one commit of a repository, in a local folder."""

    folder: Path
    commit: str


def snapshot(repository: Repository, files: Iterable[str]) -> Snapshot:
    """Download those of `files` that the repository has, unless they lie in the cache. Raises as `asking` does.

    Without a network the cache alone answers, with the commit that it saw last; then it may lack files.
    """
    # Imported here: it takes a third of a second, and most commands download nothing.
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()  # a log file has no use for them
    with asking(repository):
        folder = snapshot_download(
            repository.name, repo_type=repository.kind, revision=repository.revision, allow_patterns=list(files)
        )
    # The cache keeps every commit in a folder that is named by it (`snapshots/<commit>`).
    return Snapshot(Path(folder), Path(folder).name)


class Hub:
    """Questions to the hub at `endpoint`, by default at $HF_ENDPOINT, which leave nothing in its cache.

    Its methods raise as `asking` does, and ConfigError for what a repository lacks.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        from huggingface_hub import HfApi, HfFileSystem

        self._api = HfApi(endpoint=endpoint)
        # An instance of its own: one that this process made before may remember an older state.
        self._content = HfFileSystem(endpoint=endpoint, skip_instance_cache=True)
        self._states: dict[Repository, tuple[str, list[str]]] = {}

    def any_of(self, repository: Repository, names: Sequence[str]) -> str:
        """The first of these files that there is."""
        files = self._listed(repository)[1]
        if not (there := [name for name in names if name in files]):
            raise ConfigError(f"{repository} has neither {' nor '.join(names)}: give another repository or revision")
        return there[0]

    def matching(self, repository: Repository, pattern: str) -> list[str]:
        """The files that match a pattern, in their order. As in Path.glob a star stays within its folder."""
        files = self._listed(repository)[1]
        names = sorted(name for name in files if PurePosixPath("/", name).match(f"/{pattern}"))
        if not names:
            raise ConfigError(
                f"{repository} has no {pattern}, but {', '.join(files[:3])} and others ({len(files)} files): the "
                "publisher may have renamed it, so name an older revision in conf/datasets"
            )
        return names

    def description(self, repository: Repository, name: str) -> dict[str, Any]:
        """A small JSON file."""
        with asking(repository):
            content = self._content.cat_file(self._path(repository, name))
        try:
            return dict(json.loads(content))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} of {repository} is no JSON: give another repository or revision") from error

    def table(self, repository: Repository, name: str) -> tuple[list[str], int]:
        """Columns and number of rows of a parquet file, from its end."""
        from pyarrow import ArrowException, parquet

        try:
            with asking(repository), self._content.open(self._path(repository, name)) as file:
                end = parquet.read_metadata(file)
        except ArrowException as error:
            raise ConfigError(f"{name} of {repository} is no parquet file: name an older revision") from error
        return end.schema.to_arrow_schema().names, end.num_rows

    def _listed(self, repository: Repository) -> tuple[str, list[str]]:
        """Its commit and files, asked for once, so that all answers are about one state."""
        if repository not in self._states:
            with asking(repository):
                told = self._api.repo_info(  # for 20 seconds: behind some firewalls no answer ever comes
                    repository.name, revision=repository.revision, repo_type=repository.kind, timeout=20.0
                )
            self._states[repository] = str(told.sha), [file.rfilename for file in told.siblings or ()]
        return self._states[repository]

    def _path(self, repository: Repository, name: str) -> str:
        """As HfFileSystem wants it."""
        prefix = "datasets/" if repository.kind == "dataset" else ""
        return f"{prefix}{repository.name}@{self._listed(repository)[0]}/{name}"


@contextmanager
def asking(repository: Repository) -> Iterator[None]:
    """Within, what the hub's client raises becomes one line.

    ConfigError for what is not there or not permitted, HubError where nothing is answered or can be written.
    """
    import requests
    from huggingface_hub import errors

    refusals: dict[type[Exception], str] = {  # in this order: a gated repository is also one that was not found
        errors.HFValidationError: f"hub:{repository} is no id of the hub; expected hub:<namespace>/<name>",
        errors.GatedRepoError: f"hub:{repository} asks for permission: accept its terms on its page, then log in with "
        "hf auth login",
        errors.RepositoryNotFoundError: f"the hub has no repository {repository.name}, or none that you may read: "
        "check the id, or log in with hf auth login",
        errors.RevisionNotFoundError: f"{repository.name} has no revision {repository.revision}: give a branch, tag or "
        "commit of it, or leave the revision out",
    }
    try:
        yield
    except tuple(refusals) as error:
        raise ConfigError(next(text for kind, text in refusals.items() if isinstance(error, kind))) from error
    except (errors.LocalEntryNotFoundError, ConnectionError, requests.ConnectionError) as error:
        raise HubError(
            f"{repository} is not in the cache, and the hub cannot be reached: type the same command on a machine "
            "with a network and the same cache (HF_HOME)"
        ) from error
    except OSError as error:  # the network's other errors among them
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise HubError(
                f"{repository}: the cache cannot be written ({first_line(error)}): type export HF_HOME=FOLDER with a "
                "folder that can"
            ) from error
        raise HubError(f"{repository} could not be downloaded ({first_line(error)}): type the command again") from error


def unreadable(repository: Repository, snapshot: Snapshot, error: Exception) -> HubError:
    """The error for a download that is there and cannot be read."""
    cached = snapshot.folder.parents[1]  # <cache>/<kind>s--<namespace>--<name>/snapshots/<commit>
    return HubError(
        f"{repository} cannot be read ({first_line(error)}): its download may have been cut off; delete the "
        f"folder {cached} and type the same command again"
    )


def first_line(error: Exception) -> str:
    """What an exception says, without its advice."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
