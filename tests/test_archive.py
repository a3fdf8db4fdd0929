"""Archives: tables rebuilt from one alone, the same bytes twice, and nothing that was altered."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fun.results import RunFolder
from reproduce.__main__ import main
from reproduce.carry.archive import MANIFEST
from reproduce.declare import papers
from reproduce.runs.store import configuration, needed_runs
from tests import synthetic

DEMO = papers.targets()["demo"]
LANGUAGES = DEMO.paper.datasets["micronli"].languages

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six runs of the demo, with predictions and weights."""
    root = tmp_path_factory.mktemp("finished")
    for number, needed in enumerate(needed_runs(DEMO)):
        config = configuration(needed.overrides)
        run = RunFolder(config.folder(root), config.run_id)
        metrics = {"micronli": {name: {"accuracy": 40.0 + number + place} for place, name in enumerate(LANGUAGES)}}
        with run.begin() as attempt:
            attempt.write_bytes("config.yaml", f"seed: {config.seed}\n".encode())
            attempt.write_bytes("predictions/micronli.en.parquet", bytes(range(100 + number)))
            attempt.write_bytes("adapter/adapter.safetensors", b"weights")
            attempt.finish(synthetic.body(config, metrics, marks=()))
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return shutil.copytree(finished, tmp_path / "results")


def run_folder(root: Path, schedule: str = "gu") -> Path:
    return next((root / "runs/mnli/micro").glob(f"madx-{schedule}-*-s0-*"))


def pack(root: Path, out: Path, *options: str, status: int = 0) -> Path:
    assert main(["archive", "demo", "--results", str(root), "--out", str(out), *options]) == status
    return out


def read(archive: Path) -> Files:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def write(archive: Path, files: Files, kind: bytes = tarfile.REGTYPE) -> None:
    """An archive of these members; the last one may be of another kind."""
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            if name == list(files)[-1] and kind != tarfile.REGTYPE:
                header.type, header.linkname, header.size = kind, "record.json", 0
            tar.addfile(header, io.BytesIO(content))


def table(root: Path, out: Path) -> Files:
    """The table's files from the results in `root` alone."""
    assert main(["table", "demo", "--results", str(root), "--out", str(out)]) == 0
    return {path.name: path.read_bytes() for path in (out / "tables/fun").iterdir()}


def test_a_table_rebuilds_from_the_archive_alone_byte_for_byte(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = table(root, tmp_path / "before")
    archive = pack(root, tmp_path / "demo.tar.gz")
    said = capsys.readouterr().out
    shutil.rmtree(root)
    for line in said.splitlines()[-2:]:  # how to rebuild, as it was printed
        words = line.split()[3:]
        where = {"demo.tar.gz": str(archive), "unpacked": str(tmp_path / "unpacked")}
        assert main([where.get(word, word) for word in words]) == 0
    rebuilt = {path.name: path.read_bytes() for path in (tmp_path / "unpacked/tables/fun").iterdir()}
    assert set(rebuilt) == {"demo.csv", "demo.tex"}
    assert rebuilt == expected


def test_the_same_results_make_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first = pack(root, tmp_path / "a" / "demo.tar.gz").read_bytes()
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in sorted((path for path in root.rglob("*") if path.is_file()), reverse=True):
        copy = other / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)  # another owner's copy: other times, other rights, other order
        os.utime(copy, (1, 1))
        copy.chmod(0o600)
    assert pack(other, tmp_path / "b" / "demo.tar.gz").read_bytes() == first


def test_weights_are_left_out_unless_asked_for(root: Path, tmp_path: Path) -> None:
    kinds = ("config.yaml", "micronli.en.parquet", "record.json")
    without = read(pack(root, tmp_path / "without.tar.gz"))
    assert sorted(Path(name).name for name in without) == sorted([MANIFEST, *kinds * 6])
    full = read(pack(root, tmp_path / "full.tar.gz", "--weights"))
    assert sorted(Path(name).name for name in full.keys() - without.keys()) == ["adapter.safetensors"] * 6
    manifest = json.loads(without[MANIFEST])
    assert (manifest["target"], manifest["weights"], manifest["missing"]) == ("demo", False, [])
    assert manifest["versions"]["git_sha"] == ["0" * 40]
    assert manifest["files"].keys() == without.keys() - {MANIFEST}


def test_a_gap_is_listed_and_nothing_is_no_archive(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run_folder(root))
    missing = json.loads(read(pack(root, tmp_path / "demo.tar.gz"))[MANIFEST])["missing"]
    assert missing == ["python -m fun.run model=micro task=mnli adapter=madx data_size=full schedule=gu seed=0"]
    assert "1 of 6 runs are missing" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    pack(tmp_path / "empty", tmp_path / "empty.tar.gz", status=1)
    assert capsys.readouterr().err == "error: nothing to archive: none of the 6 runs of demo is done.\n"
    assert not (tmp_path / "empty.tar.gz").exists()


def test_a_file_that_its_record_does_not_know_so_is_not_packed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = run_folder(root) / "predictions/micronli.en.parquet"
    predictions.write_bytes(b"other")
    pack(root, tmp_path / "demo.tar.gz", status=1)
    assert f"{predictions} is not what the record of run {run_folder(root).name} lists" in capsys.readouterr().err
    assert list(tmp_path.glob("*.tar.gz")) == []


def listed(files: Files, name: str, content: bytes) -> Files:
    """With a member, new or other, that the manifest lists as it is."""
    manifest = json.loads(files[MANIFEST])
    manifest["files"][name] = {"checksum": f"sha256:{hashlib.sha256(content).hexdigest()}", "bytes": len(content)}
    return {**files, MANIFEST: json.dumps(manifest).encode(), name: content}


def first(files: Files, ending: str) -> str:
    return next(name for name in files if name.endswith(ending))


def with_other_metric(files: Files) -> Files:
    """Higher by ten, with a manifest that fits."""
    name = first(files, "record.json")
    record = json.loads(files[name])
    record["metrics"]["micronli"]["l1"]["accuracy"] += 10
    return listed(files, name, json.dumps(record).encode())


def with_other_predictions(files: Files) -> Files:
    return listed(files, first(files, ".parquet"), b"other")


TAMPERED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "content": (lambda files: {**files, first(files, ".parquet"): b"other"}, "micronli.en.parquet has sha256:"),
    "metric": (with_other_metric, "checksum: found"),
    "predictions": (with_other_predictions, "no record lists"),
    "lost": (lambda files: {n: c for n, c in files.items() if n != first(files, "record.json")}, "lacks runs/mnli"),
    "added": (lambda files: {**files, "runs/mnli/micro/x/record.json": b"{}"}, "is not in the manifest"),
    "above": (lambda files: listed(files, "runs/../../evil", b"x"), "would lie outside the results"),
    "absolute": (lambda files: listed(files, "/evil", b"x"), "would lie outside the results"),
    "elsewhere": (lambda files: listed(files, "sitecustomize.py", b"x"), "would lie outside the results"),
    "no manifest": (lambda files: {n: c for n, c in files.items() if n != MANIFEST}, "does not begin with manifest"),
    "format": (lambda files: {**files, MANIFEST: b'{"format": 2}'}, "found format 2, expected 1"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_altered_is_refused(
    finished: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = TAMPERED[name]
    archive = tmp_path / "demo.tar.gz"
    write(archive, change(read(pack(finished, archive))))
    refused(archive, tmp_path, message, capsys)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE], ids=["symlink", "link", "fifo"])
def test_only_plain_files_are_unpacked(
    finished: Path, tmp_path: Path, kind: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "demo.tar.gz"
    write(archive, listed(read(pack(finished, archive)), "runs/mnli/micro/link", b""), kind)
    refused(archive, tmp_path, "is not a plain file", capsys)


def test_a_cut_archive_is_refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = pack(finished, tmp_path / "demo.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-400])
    refused(archive, tmp_path, "cannot be unpacked", capsys)
    archive.write_bytes(gzip.compress(b"no tar"))
    refused(archive, tmp_path, "cannot be unpacked", capsys)


def refused(archive: Path, folder: Path, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and nothing left behind."""
    capsys.readouterr()
    assert main(["unpack", str(archive), "--out", str(folder / "unpacked")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / "unpacked").exists()
    assert [path.name for path in folder.iterdir() if path.name not in ("demo.tar.gz", "results")] == []
    assert not (folder.parent / "evil").exists()


def test_nothing_is_overwritten(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = pack(finished, tmp_path / "demo.tar.gz")
    assert main(["unpack", str(archive), "--out", str(finished)]) == 2
    assert capsys.readouterr().err == f"error: {finished} exists already; name a folder that does not.\n"
    assert main(["unpack", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "none is not there" in capsys.readouterr().err
