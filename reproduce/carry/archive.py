"""One file that a target can be rebuilt from: the records of its runs with what they list, and a manifest.

A gzipped tar whose bytes depend on the results alone. Its first member is the manifest: the SHA-256 and size of
every other member, the versions that made the runs, how to rebuild, and what is missing. Weights are left out unless
asked for.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fun.errors import ConfigError, RunError
from fun.results import Damaged, Record, RunFolder, file_checksum
from reproduce.declare.papers import Target
from reproduce.declare.parts import Needed
from reproduce.runs.store import Found, Results, command, needed_runs

FORMAT = 1
MANIFEST = "manifest.json"
RECORD = "record.json"
RUNS = "runs"
WEIGHTS = ".safetensors"
CHUNK = 1 << 20


class Member(BaseModel):
    """A file of an archive: `sha256:` and 64 digits, and its size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checksum: str
    bytes: int


class Manifest(BaseModel):
    """What an archive says of itself. `missing` are the commands of runs that are not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    target: str
    rebuild: tuple[str, ...]
    weights: bool
    versions: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]
    files: Mapping[str, Member]


def pack(target: Target, results: Results, root: Path, out: Path, *, weights: bool = False) -> Manifest:
    """Write the archive `out` of what was found of a target's runs below `root`; `out` appears once it is complete.

    Every file is compared with its record. Raises Damaged for one that differs or is lost, RunError where no run is
    done.
    """
    runs = {found.run.path: found for found in results.values() if isinstance(found, Found)}
    if not runs:
        raise RunError(f"nothing to archive: none of the {len(results)} runs of {target.name} is done.")
    files = {path.relative_to(root).as_posix(): path for found in runs.values() for path in _files(found, weights)}
    manifest = Manifest(
        format=FORMAT,
        target=target.name,
        rebuild=_rebuild(target, out.name),
        weights=weights,
        versions=_versions(found.record for found in runs.values()),
        missing=tuple(_missing(needed_runs(target), results)),
        files={name: _member(path) for name, path in sorted(files.items())},
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    with partial.open("wb") as file:
        _write(file, manifest, files)
    os.replace(partial, out)
    return manifest


def unpack(file: Path, folder: Path) -> Manifest:
    """Verify an archive and lay it out as the new results root `folder`, which appears once all is verified.

    Raises Damaged for a member that is not what the manifest and the records say, is not listed, or would lie outside
    the folder; ConfigError for a file that is not there, or a folder that is.
    """
    if not file.is_file():
        raise ConfigError(f"{file} is not there; expected an archive that `python -m reproduce archive` wrote.")
    if folder.exists():
        raise ConfigError(f"{folder} exists already; name a folder that does not.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tarfile.open(file, "r:gz") as tar:
            manifest = _extract(tar, partial, file)
        _verify_records(manifest, partial, file)
        os.replace(partial, folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise Damaged(f"{file} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _files(found: Found, weights: bool) -> Iterator[Path]:
    """A run's record and the files it lists, each as it was written."""
    yield found.run.path / RECORD
    for name, expected in found.record.files.items():
        if name.endswith(WEIGHTS) and not weights:
            continue
        path = found.run.path / name
        if not path.is_file() or file_checksum(path) != expected:
            raise Damaged(f"{path} is not what the record of {found.run} lists. To run it anew: force=true")
        yield path


def _member(path: Path) -> Member:
    return Member(checksum=file_checksum(path), bytes=path.stat().st_size)


def _rebuild(target: Target, name: str) -> tuple[str, ...]:
    kind = "figure" if target.name in target.paper.figures else "table"
    return (
        f"python -m reproduce unpack {name} --out unpacked",
        f"python -m reproduce {kind} {target.name} --results unpacked",
    )


def _versions(records: Iterable[Record]) -> dict[str, tuple[str, ...]]:
    """Every version that a record names, of the code and of each package."""
    found: dict[str, set[str]] = {}
    for record in records:
        own = {name: record.environment.get(name) for name in ("git_sha", "fun", "python")}
        for name, version in {**record.environment.get("packages", {}), **own}.items():
            found.setdefault(name, set()).add(str(version) if version else "unknown")
        for code in record.environment.get("code", []):
            found["git_sha"].add(code["git_sha"] or "unknown")
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _missing(needed: Iterable[Needed], results: Results) -> Iterator[str]:
    for run in needed:
        result = results[run.overrides]
        if not isinstance(result, Found) or result.lacks:
            yield command(run.arguments)


def _write(file: IO[bytes], manifest: Manifest, files: Mapping[str, Path]) -> None:
    text = json.dumps(manifest.model_dump(), indent=1, sort_keys=True).encode() + b"\n"
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(_header(MANIFEST, len(text)), io.BytesIO(text))
        for name, member in manifest.files.items():
            with files[name].open("rb") as content:
                tar.addfile(_header(name, member.bytes), content)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Without owner, time and rights of the file on this machine."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    return header


def _extract(tar: tarfile.TarFile, folder: Path, file: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST:
        raise Damaged(f"{file} does not begin with {MANIFEST}: it is no archive of results")
    manifest = _manifest(_content(tar, first, file).read(), file)
    left = dict(manifest.files)
    while (member := tar.next()) is not None:
        expected = left.pop(member.name, None)
        if expected is None:
            raise Damaged(f"{file}: {member.name} is not in the manifest, or there twice")
        _extract_member(_content(tar, member, file), folder / _inside(member.name, file), expected, file)
    if left:
        raise Damaged(f"{file} lacks {', '.join(left)}, which its manifest lists")
    return manifest


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> IO[bytes]:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise Damaged(f"{file}: {member.name} is not a plain file")
    return content


def _manifest(text: bytes, file: Path) -> Manifest:
    try:
        fields: Any = json.loads(text)
        found = fields.get("format") if isinstance(fields, dict) else None
        if found != FORMAT:
            raise Damaged(f"{file}: found format {found}, expected {FORMAT}, which this code reads")
        return Manifest.model_validate(fields)
    except (ValueError, ValidationError) as error:
        raise Damaged(f"{file}: its manifest is not one: {' '.join(str(error).split())}") from error


def _inside(name: str, file: Path) -> PurePosixPath:
    """The member's path, which must lie below `runs/` and nowhere else."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] != (RUNS,) or "\\" in name:
        raise Damaged(f"{file}: {name} would lie outside the results")
    return path


def _extract_member(content: IO[bytes], path: Path, expected: Member, file: Path) -> None:
    digest, size = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as written:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            written.write(chunk)
    found = f"sha256:{digest.hexdigest()}"
    if (found, size) != (expected.checksum, expected.bytes):
        raise Damaged(f"{file}: {path.name} has {found}, expected {expected.checksum}")


def _verify_records(manifest: Manifest, folder: Path, file: Path) -> None:
    """Every record is valid in its folder, and every file beside it is one that it lists."""
    records = {Path(name).parent for name in manifest.files if Path(name).name == RECORD}
    listed: set[tuple[str, str]] = set()
    for path in sorted(records):
        record = RunFolder(folder / path, path.name.rpartition("-")[2]).record()
        listed |= {(path / name).as_posix(): checksum for name, checksum in record.files.items()}.items()
    for name, member in manifest.files.items():
        if Path(name).name != RECORD and (name, member.checksum) not in listed:
            raise Damaged(f"{file}: no record lists {name} with its content")
