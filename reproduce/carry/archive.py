"""One file that a target can be rebuilt from: the records of its runs with what they list, and a manifest.

A gzipped tar whose bytes depend on the results alone; its first member is the manifest. `tar x` lays it out as a
results root, and `collect` compares records and files with their checksums. Weights are left out unless asked for.
"""

import gzip
import io
import json
import os
import shlex
import tarfile
from pathlib import Path
from typing import IO, Any

from fun.errors import RunError
from fun.results import file_checksum
from fun.results.attempt import RECORD
from fun.results.record import WEIGHTS
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Target
from reproduce.runs.store import Done, Results, command

MANIFEST = "manifest.json"


def pack(target: Target, results: Results, root: Path, out: Path, *, weights: bool) -> dict[str, Any]:
    """Write the archive `out` of a target's done runs below `root`, and return its manifest.

    `out` appears once it is complete. Raises Damaged for a file that is not as its record lists it, and RunError
    where no run is done.
    """
    files: dict[str, str] = {}
    for done in (result for result in results.values() if isinstance(result, Done)):
        listed = done.run.record(verify_files=True, without_weights=not weights).files
        packed = {name: digest for name, digest in listed.items() if weights or not name.endswith(WEIGHTS)}
        folder = done.run.path
        for name, digest in {RECORD: file_checksum(folder / RECORD), **packed}.items():
            files[(folder / name).relative_to(root).as_posix()] = digest
    if not files:
        raise RunError(f"nothing to archive: none of the {len(results)} runs of {target.name} is done.")
    kind = "figure" if isinstance(target, Figure) else "table"
    manifest: dict[str, Any] = {
        "target": target.name,
        "rebuild": [
            f"mkdir unpacked && tar -xzf {shlex.quote(out.name)} -C unpacked",
            f"python -m reproduce collect {target.name} --results unpacked",
            f"python -m reproduce {kind} {target.name} --results unpacked",
        ],
        "weights": weights,
        "missing": [command(run.arguments) for run in target.needed() if not results[run.overrides].complete],
        "files": files,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    with (
        partial.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, len(text), io.BytesIO(text))
        for name in sorted(files):
            with (root / name).open("rb") as content:
                _add(tar, name, os.fstat(content.fileno()).st_size, content)
    os.replace(partial, out)
    return manifest


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    """A member without owner, time and rights of the file on this machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)
