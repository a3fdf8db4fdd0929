"""Repositories of the hub, downloaded into its cache, with one line for whatever can go wrong.

Downloading is kept apart from loading: transformers and adapters then read a local folder, where neither looks
for other formats of the weights nor asks the network again.
"""

import errno
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from fun.errors import ConfigError, HubError

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


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
    """Download those of `files` that the repository has, unless they lie in the cache.

    Without a network the cache alone answers, with the commit that it saw last; then it may lack files.

    Raises ConfigError where there is no such repository or revision, and HubError where nothing could be
    downloaded.
    """
    # Imported here: it takes a third of a second, and most commands download nothing.
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()  # a log file has no use for them
    try:
        folder = snapshot_download(
            repository.name, repo_type=repository.kind, revision=repository.revision, allow_patterns=list(files)
        )
    except errors.HFValidationError as error:
        raise ConfigError(f"hub:{repository} is no id of the hub; expected hub:<namespace>/<name>") from error
    except errors.GatedRepoError as error:
        raise ConfigError(
            f"hub:{repository} asks for permission: accept its terms on its page, then log in with hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ConfigError(
            f"the hub has no repository {repository.name}, or none that you may read: check the id, or log in "
            "with hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ConfigError(
            f"{repository.name} has no revision {repository.revision}: give a branch, tag or commit of it, "
            "or leave the revision out"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(
            f"{repository} is not in the cache, and the hub cannot be reached: type the same command on a machine "
            "with a network and the same cache (HF_HOME)"
        ) from error
    except OSError as error:  # the network's errors among them
        if error.errno in UNWRITABLE:
            raise HubError(
                f"{repository}: the cache cannot be written ({first_line(error)}): type export HF_HOME=FOLDER with a "
                "folder that can"
            ) from error
        raise HubError(f"{repository} could not be downloaded ({first_line(error)}): type the command again") from error
    # The cache keeps every commit in a folder that is named by it (`snapshots/<commit>`).
    return Snapshot(Path(folder), Path(folder).name)


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
