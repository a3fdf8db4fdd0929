"""Files that are there whole or not at all, also after a power cut and on network file systems."""

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NoReturn

from fun.results.errors import Damaged, NotWritable, ResultsError, Unreadable


def file_checksum(path: Path) -> str:
    """`sha256:` and 64 hexadecimal digits, over the file's bytes."""
    with path.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, each brought to disk. Raises NotWritable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with _writing(folder):
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


def replace(source: Path, target: Path) -> None:
    """Rename `source`, already on disk, to `target`, over what is there."""
    os.replace(source, target)
    sync(target.parent)


def create_exclusive(path: Path, value: object) -> bool:
    """Create `path` with `value` as JSON, and its folder; False, and nothing changed, where `path` exists.

    A link and not O_EXCL on the name itself, so that nobody ever reads the file half-written. Raises NotWritable.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with _writing(path):
        aside.write_bytes(pretty_json(value))
        sync(aside)
    try:
        os.link(aside, path)
    except FileExistsError:
        # NFS may lose the answer to a link that succeeded and then refuse the repeated request.
        return aside.stat().st_nlink == 2
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise ResultsError(
                f"the file system of {path.parent} has no hard links, which the results store needs. "
                "Set FUN_RESULTS to a folder on another file system"
            ) from error
        raise
    finally:
        aside.unlink()
    sync(path.parent)
    return True


def clock_of(folder: Path) -> float:
    """The time of the file server of `folder`, which stamps what is written there: this machine's may differ."""
    with _writing(folder), NamedTemporaryFile(dir=folder, prefix=".") as aside:
        return Path(aside.name).stat().st_mtime


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises FileNotFoundError, Unreadable, or Damaged for anything but a JSON object."""
    try:
        value = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise unreadable(error) from error
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def names_in(folder: Path) -> list[str]:
    """The names in a folder; none where there is no folder. Raises Unreadable."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise unreadable(error) from error


def latest_number(folder: Path) -> int:
    """The highest number of a file `0001.json` in a folder; 0 where there is none. Raises Unreadable."""
    return max((int(name[:-5]) for name in names_in(folder) if re.fullmatch(r"\d{4,}\.json", name)), default=0)


def unreadable(error: OSError) -> Unreadable:
    return Unreadable(f"{error.filename} cannot be read ({error.strerror}): get the permission there")


def pretty_json(value: object) -> bytes:
    """`value` as JSON for people, finite numbers only."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWritable(
            f"{path} cannot be written ({error.strerror}): make room or get the permission there, or type export "
            "FUN_RESULTS=FOLDER to work in another"
        ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a finite number")
