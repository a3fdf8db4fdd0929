"""Archives: tables rebuilt from one alone, the same bytes twice, and what was altered is told."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fun import inputs
from reproduce.__main__ import main
from reproduce.carry.archive import MANIFEST
from reproduce.declare import papers
from reproduce.runs.store import configuration
from tests import synthetic

DEMO = papers.targets()["demo"]
LANGUAGES = DEMO.paper.datasets["micronli"].languages

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six runs of the demo, with predictions and weights."""
    root = tmp_path_factory.mktemp("finished")
    for number, needed in enumerate(DEMO.needed()):
        config = configuration(needed.overrides)
        run = inputs.run_folder(config, root)
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


def table(root: Path, out: Path) -> Files:
    """The table's files from the results in `root` alone."""
    assert main(["table", "demo", "--results", str(root), "--out", str(out)]) == 0
    return {path.name: path.read_bytes() for path in (out / "tables/fun").iterdir()}


def test_a_table_rebuilds_from_the_archive_alone_byte_for_byte(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = table(root, tmp_path / "before")
    pack(root, tmp_path / "demo.tar.gz")
    unpacking, collecting, _ = capsys.readouterr().out.splitlines()[-3:]  # how to rebuild, as it was printed
    shutil.rmtree(root)
    subprocess.run(["bash", "-c", unpacking], cwd=tmp_path, check=True)
    assert shlex.split(collecting)[:3] == ["python", "-m", "reproduce"]
    where = {"unpacked": str(tmp_path / "unpacked")}
    assert main([where.get(word, word) for word in shlex.split(collecting)[3:]]) == 0
    assert "6 of 6 runs are done and as they were written" in capsys.readouterr().out
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
    assert manifest["files"].keys() == without.keys() - {MANIFEST}


def test_a_gap_is_listed_and_nothing_is_no_archive(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run_folder(root))
    missing = json.loads(read(pack(root, tmp_path / "demo.tar.gz"))[MANIFEST])["missing"]
    assert missing == ["python -m fun.run model=micro task=mnli adapter=madx data_size=full schedule=gu seed=0"]
    assert "1 of 6 runs are missing" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    pack(root, tmp_path / "empty", status=2)
    assert f"found --out {tmp_path / 'empty'}, a folder; expected a file" in capsys.readouterr().err
    pack(tmp_path / "empty", tmp_path / "empty.tar.gz", status=1)
    assert capsys.readouterr().err == "error: nothing to archive: none of the 6 runs of demo is done.\n"
    assert not (tmp_path / "empty.tar.gz").exists()


def test_a_file_that_its_record_does_not_know_so_is_not_packed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = run_folder(root) / "predictions/micronli.en.parquet"
    predictions.write_bytes(b"other")
    pack(root, tmp_path / "demo.tar.gz", status=1)
    assert f"{predictions} has sha256:" in capsys.readouterr().err
    assert list(tmp_path.glob("*.tar.gz")) == []


def change_predictions(run: Path) -> None:
    (run / "predictions/micronli.en.parquet").write_bytes(b"other")


def raise_a_metric(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    record["evaluations"]["micronli"]["l1"]["metrics"]["accuracy"] += 10
    (run / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize("alter", [change_predictions, raise_a_metric])
def test_what_was_altered_in_an_unpacked_archive_is_told_by_collect(
    finished: Path, tmp_path: Path, alter: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(pack(finished, tmp_path / "demo.tar.gz")) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    run = run_folder(tmp_path / "unpacked")
    alter(run)
    assert main(["collect", "demo", "--results", str(tmp_path / "unpacked")]) == 1
    told = capsys.readouterr().out
    assert "5 of 6 runs are done and as they were written" in told
    assert any(line.startswith("damaged: ") and run.name in line for line in told.splitlines())


def test_the_manifest_has_the_checksum_of_every_other_member(finished: Path, tmp_path: Path) -> None:
    files = read(pack(finished, tmp_path / "demo.tar.gz"))
    manifest = json.loads(files.pop(MANIFEST))
    assert manifest["files"] == {
        name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in files.items()
    }
