"""Files of text on disk: their content, and the hash that names it."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock

_READING = Lock()
"""Held while a file is hashed: another thread that asks for the same one waits for the answer."""


def text_of(path: Path) -> str:
    """The text of a file in UTF-8. Raises ValueError with the line of what is not."""
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is no UTF-8: {error.reason}") from error


HASH = ".sha256"
"""Behind a file's name: what `sha256sum` printed of it, which stands for a file that is not there. Runs that read it
keep their names, so that tables of archived runs can be made without it; no run can be."""


def content_key(paths: Sequence[Path]) -> str:
    """What names the content of some files in their order, whatever they are called."""
    contents = [sha256_of(path) for path in paths]
    content = contents[0] if len(contents) == 1 else hashlib.sha256(" ".join(contents).encode()).hexdigest()
    return f"sha256:{content}"


def sha256_of(path: Path) -> str:
    """The hash of a file's content, or the one that stands for it; no file is read twice that did not change."""
    if path.suffix == HASH:
        return path.read_text(encoding="utf-8").split()[0]
    with _READING:
        return _sha256(path, path.stat().st_mtime_ns, path.stat().st_size)


@cache
def _sha256(path: Path, changed_at: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
