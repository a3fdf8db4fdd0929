"""Merging results folders: copied once, whole or not at all, nothing overwritten, differences told."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from fun.config import RunConfig
from fun.inputs import run_folder, run_id
from fun.results import RunFolder, State, run_folders
from reproduce.__main__ import main
from reproduce.carry.merge import Merged, Outcome, merge
from reproduce.declare.parts import Needed
from reproduce.runs.store import Done, Store, configuration
from tests import synthetic
from tests.conftest import ROOT, recorded

OVERRIDES = ("task=copa", "model=micro", "adapter=madx", "schedule=gu")


@pytest.fixture(autouse=True)
def _silence_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUN_STALE_SECONDS", "1000")


@pytest.fixture
def roots() -> Iterator[tuple[Path, Path]]:
    """Here and there; in memory where there is a folder of that kind: the store waits for the disk at every step."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "here", Path(folder) / "there"


@cache
def config(seed: int = 0) -> RunConfig:
    return configuration((*OVERRIDES, f"seed={seed}"))


def finish(
    root: Path,
    seed: int = 0,
    accuracy: Mapping[str, float] = {"en": 80.0, "l1": 70.0},
    predictions: str = "",
    fisher_every: int = 0,
    loss: float = 0.5,
    weights: str = "adapter/weights",
) -> RunFolder:
    """A finished run with these accuracies, a file of predictions for each language, and one update in its log."""
    run = run_folder(config(seed), root)
    metrics = {"microcopa": {language: {"accuracy": value} for language, value in accuracy.items()}}
    with run.begin() as attempt:
        for language, value in accuracy.items():
            content = predictions or f"{language} {value}"
            attempt.write_bytes(f"predictions/microcopa.{language}.parquet", content.encode())
        attempt.write_bytes(weights, b"w" * 5000)
        log = attempt.metrics_log()
        if fisher_every:
            log.append({"kind": "fisher", "update": 1, "mean_open": 4.0})
        log.append({"kind": "train", "update": 1, "loss": loss})
        body = synthetic.body(config(seed), metrics, marks=())
        body["tracking"]["fisher_every"] = fisher_every
        attempt.finish(body)
    return run


def outcomes(merged: Iterator[Merged]) -> Counter[Outcome]:
    return Counter(one.outcome for one in merged)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_is_only_there_is_copied_once(roots: tuple[Path, Path]) -> None:
    here, there = roots
    ours, theirs = finish(here, seed=0), finish(there, seed=1)
    finish(there, seed=0)
    unfinished = run_folder(config(2), there)
    unfinished.begin().interrupt("")
    kept, untouched = content(ours.path), content(there)
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1, Outcome.SAME: 1}
    copied = run_folder(config(1), here)
    assert copied.record(verify_files=True).body() == theirs.record().body()
    assert copied.record().files == theirs.record().files
    assert content(ours.path) == kept
    merged = content(here)
    assert outcomes(merge(there, here)) == {Outcome.SAME: 2}
    assert content(here) == merged
    assert content(there) == untouched


@pytest.mark.parametrize("theirs", [{"accuracy": {"en": 80.0, "l1": 71.0}}, {"predictions": "others"}])
def test_other_values_are_told_and_ours_stay(
    roots: tuple[Path, Path], theirs: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = roots
    ours = finish(here)
    finish(there, **theirs)  # type: ignore[arg-type]
    kept = content(here)
    assert main(["merge", str(there), "--results", str(here)]) == 1
    told = capsys.readouterr().out
    assert f"different: {ours.path.name}: " in told
    assert f"remove {ours.path}, and merge again" in told
    assert "0 copied, 0 same, 1 different, 0 left" in told
    assert content(here) == kept
    shutil.rmtree(ours.path)
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1}


def test_of_several_folders_of_a_run_there_one_is_copied(roots: tuple[Path, Path]) -> None:
    here, there = roots
    run = finish(there)
    shutil.copytree(run.path, run.path.with_name(f"renamed-{run.run_id}"))
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1, Outcome.SAME: 1}
    assert len(run_folders(here)[0]) == 1


def test_what_failed_here_and_is_done_there_is_copied(roots: tuple[Path, Path]) -> None:
    here, there = roots
    theirs = finish(there)
    ours = run_folder(config(), here)
    ours.begin().fail("method", "the loss was nan")
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1}
    assert ours.status().state is State.DONE
    assert ours.record(verify_files=True).body() == theirs.record().body()


@pytest.mark.parametrize("theirs", [{}, {"loss": 0.25}])
def test_what_is_damaged_here_can_be_removed_and_taken_over_whole(
    roots: tuple[Path, Path], theirs: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = roots
    ours, other = finish(here), finish(there, **theirs)  # type: ignore[arg-type]
    (ours.path / "adapter/weights").write_bytes(b"altered")
    before = content(here)
    assert main(["merge", str(there), "--results", str(here)]) == 1
    assert f"left: {ours.path.name}: damaged here: {ours.path}/adapter/weights has" in capsys.readouterr().out
    assert content(here) == before
    shutil.rmtree(ours.path)
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1}
    assert ours.record(verify_files=True).files == other.record().files


@pytest.mark.parametrize(
    ("ours", "theirs", "more"),
    [
        ({"accuracy": {"en": 80.0}}, {}, "there also with microcopa in l1."),
        ({}, {"fisher_every": 5}, "there also with tr(F) along training."),
    ],
)
def test_what_was_only_made_there_is_told(
    roots: tuple[Path, Path],
    ours: dict[str, object],
    theirs: dict[str, object],
    more: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = roots
    finish(here, **ours)  # type: ignore[arg-type]
    finish(there, **theirs)  # type: ignore[arg-type]
    before = content(here)
    assert outcomes(merge(here, there)) == {Outcome.SAME: 1}
    assert main(["merge", str(there), "--results", str(here)]) == 1
    assert more in capsys.readouterr().out
    assert content(here) == before


def test_a_run_whose_weights_were_left_out_of_an_archive_is_copied(roots: tuple[Path, Path]) -> None:
    here, there = roots
    run = finish(there, weights="adapter/adapter.safetensors")
    (run.path / "adapter/adapter.safetensors").unlink()
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1}
    copied = run_folder(config(), here).record(verify_files=True)
    assert copied.metrics == run.record().metrics
    assert outcomes(merge(there, here)) == {Outcome.SAME: 1}


def test_what_cannot_be_merged_is_told_and_left(roots: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    here, there = roots
    damaged_here, damaged_there = finish(here, seed=0), finish(there, seed=1)
    synthetic.alter_a_byte(damaged_here)
    (damaged_there.path / "adapter/weights").write_bytes(b"other")
    finish(there, seed=0)
    finish(there, seed=2)
    (finish(there, seed=3).path / "record.json").unlink()
    running = run_folder(config(2), here).begin()
    before = content(here)
    assert main(["merge", str(there), "--results", str(here)]) == 1
    told = capsys.readouterr().out
    assert content(here) == before
    for reason in ("damaged there", "record.json is gone", "is being run", "checksum: found", "0 copied", "4 left"):
        assert reason in told
    running.interrupt("")


def test_a_mistyped_folder(roots: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    here, there = roots
    finish(here)
    assert main(["merge", str(there), "--results", str(here)]) == 2
    assert main(["merge", str(here), "--results", str(here)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(line.startswith("error: ") for line in errors)


FULL_DISK = """
import resource, sys
from reproduce.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # the weights are larger
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_ends_in_one_line_and_the_same_command_goes_on(roots: tuple[Path, Path]) -> None:
    here, there = roots
    finish(there)
    command = [sys.executable, "-c", FULL_DISK, "merge", str(there), "--results", str(here)]
    stopped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert stopped.stderr.startswith("error: ")
    assert stopped.stderr.count("\n") == 1
    assert outcomes(merge(there, here)) == {Outcome.COPIED: 1}


MERGING = """
import sys
from pathlib import Path
from reproduce.carry.merge import merge
sys.stdin.readline()
for merged in merge(Path(sys.argv[1]), Path(sys.argv[2])):
    print(merged.outcome, flush=True)
"""


def merging(there: Path, here: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", MERGING, str(there), str(here)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_an_interrupted_merge_leaves_whole_runs_and_is_continued(roots: tuple[Path, Path]) -> None:
    here, there = roots
    for seed in range(12):
        finish(there, seed=seed)
    for copied in (1, 4, 9):
        process = merging(there, here)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        for _ in range(copied):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(recorded(here)) >= copied
        for run in recorded(here):
            run.record(verify_files=True)
    outcomes(merge(there, here))
    assert {run.run_id for run in recorded(here)} == {run_id(config(seed)) for seed in range(12)}
    assert all(isinstance(Store(here)(Needed((*OVERRIDES, f"seed={seed}"))), Done) for seed in range(12))


def test_two_that_merge_at_once_copy_each_run_once(roots: tuple[Path, Path]) -> None:
    here, there = roots
    for seed in range(12):
        finish(there, seed=seed)
    processes = [merging(there, here) for _ in range(2)]
    told = Counter(line for process in processes for line in process.communicate("\n")[0].split())
    assert told["copied"] == 12
    assert told["different"] == 0
    assert {run.record().attempt for run in recorded(here)} == {1}
    assert outcomes(merge(there, here)) == {Outcome.SAME: 12}
