"""The manifest: a hash for everything the world ships or generates, so that a run can name what it read."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
MANIFEST = "manifest.json"


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(content: bytes) -> str:
    """The hash in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def folder_hashes(folder: Path) -> dict[str, str]:
    """File name -> hash of every file in the folder."""
    return {path.name: sha256(path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()}


@cache
def manifest() -> dict[str, Any]:
    """The shipped manifest: `seed`, `splits` (task/language/split -> hash), `text` (language -> hash),
    `encoder`, `mlm_head` and `adapters` (file -> hash)."""
    content: dict[str, Any] = json.loads((ASSETS / MANIFEST).read_text())
    return content
