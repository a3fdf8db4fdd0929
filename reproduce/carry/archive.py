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
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypedDict

from fun.errors import RunError
from fun.results import file_checksum
from fun.results.record import WEIGHTS
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Target
from reproduce.runs.store import Done, Results, command

MANIFEST = "manifest.json"
RECORD = "record.json"


class Manifest(TypedDict):
    """`missing` are the commands of runs that are not in it, `files` the checksums."""

    target: str
    rebuild: list[str]
    weights: bool
    missing: list[str]
    files: dict[str, str]


def pack(target: Target, results: Results, root: Path, out: Path, *, weights: bool = False) -> Manifest:
    """Write the archive `out` of a target's done runs below `root`; `out` appears once it is complete.

    Raises Damaged for a file that is not as its record lists it, RunError where no run is done.
    """
    runs = [result for result in results.values() if isinstance(result, Done)]
    if not runs:
        raise RunError(f"nothing to archive: none of the {len(results)} runs of {target.name} is done.")
    files = {path.relative_to(root).as_posix(): digest for run in runs for path, digest in _files(run, weights)}
    manifest = Manifest(
        target=target.name,
        rebuild=_rebuild(target, out.name),
        weights=weights,
        missing=[command(run.arguments) for run in target.needed() if not results[run.overrides].complete],
        files=dict(sorted(files.items())),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    with partial.open("wb") as file:
        _write(file, manifest, root)
    os.replace(partial, out)
    return manifest


def _files(run: Done, weights: bool) -> Iterator[tuple[Path, str]]:
    """A run's record and the files it lists, each with its checksum and as it was written. Raises Damaged."""
    record = run.run.record(verify_files=True, without_weights=not weights)
    yield run.run.path / RECORD, file_checksum(run.run.path / RECORD)
    for name, digest in record.files.items():
        if weights or not name.endswith(WEIGHTS):
            yield run.run.path / name, digest


def _rebuild(target: Target, name: str) -> list[str]:
    kind = "figure" if isinstance(target, Figure) else "table"
    return [
        f"mkdir unpacked && tar -xzf {shlex.quote(name)} -C unpacked",
        f"python -m reproduce collect {target.name} --results unpacked",
        f"python -m reproduce {kind} {target.name} --results unpacked",
    ]


def _write(file: IO[bytes], manifest: Manifest, root: Path) -> None:
    """Members without owner, time and rights of the files on this machine."""
    text = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for name in manifest["files"]:
            with (root / name).open("rb") as content:
                tar.addfile(_member(name, os.fstat(content.fileno()).st_size), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
