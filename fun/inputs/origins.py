"""Where an encoder or a language adapter comes from, in one string, and the content key of what lies there.

world                             shipped with the miniature world
hub:<namespace>/<name>[@<revision>]
run:<run_id>                      a language adapter that a task=mlm run of ours trained
folder:<path>
sha256:<hash>                     the content key of an encoder that is not here: it names runs, and none can be made
train                             the run that task=mlm with default settings is
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fun.errors import ConfigError


def hub_key(origin: str, revision: str | None = None) -> str:
    """`hub:<id>@<revision>`; main where none is pinned. Where a cache keeps the files never enters."""
    return origin if "@" in origin else f"{origin}@{revision or 'main'}"


def folder_key(origin: str, files: Callable[[Path], list[Path]]) -> str:
    """The hash of the names and contents of the `files` that are read of a folder, and of no others.

    Raises ConfigError where the folder, or one of them, is not there.
    """
    folder = Path(origin.removeprefix("folder:"))
    if not folder.is_dir():
        raise ConfigError(f"{origin}: there is no such folder; expected one with a model's or adapter's files")
    try:
        return _folder_hash(tuple(_stamp(path) for path in sorted(files(folder))), folder)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{origin} cannot be read ({error}): give a folder with all files of the model") from error


def _stamp(path: Path) -> tuple[Path, int, int]:
    """What changes when a file changes, without reading it."""
    status = os.stat(path)
    return path, status.st_size, status.st_mtime_ns


@cache
def _folder_hash(files: tuple[tuple[Path, int, int], ...], folder: Path) -> str:
    """Hashed once per process and state of the files: a planner composes hundreds of runs."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"
