"""Shared helpers: the real entry point, in a results folder of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fun.results import RunFolder, run_folders
from reproduce.start.status import report
from tests.forks import Fork, Process, can_fork
from tests.waiting import ended

ROOT = Path(__file__).resolve().parents[1]

SHORT = ("train.updates=14", "train.eval_every=7", "train.batch_size=8", "fisher.batches=2", "schedule.k=1")
"""A run short enough for a test, long enough for every schedule's last opening."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, else it is the last one and the others' processes wait for it."""
    items.sort(key=lambda item: item.path.name != "test_seams.py")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A script's `&` starts the tests deaf to Ctrl-C, and their children would inherit it: wait for one for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def nobody(job: str) -> bool:
    """A scheduler without jobs."""
    return False


def everybody(job: str) -> bool:
    """A scheduler that knows every job."""
    return True


def told(run: RunFolder) -> str:
    """What `status` says of a run."""
    text = StringIO()
    Console(file=text, width=300).print(report({"all": {run: run.status(job_known=nobody)}}, run.path.parents[3]))
    return text.getvalue()


def recorded(root: Path) -> list[RunFolder]:
    """The runs below a results root that have a record, in order of path."""
    paths = [path for path in run_folders(root)[0] if (path / "record.json").exists()]
    return [RunFolder(path, path.name.rpartition("-")[2]) for path in paths]


def queue(run: RunFolder, job: str) -> None:
    """Mark that `job` is to run it, as `submit` does."""
    reservation = run.reserve(nobody)
    assert reservation is not None
    reservation.note(job=job)


@dataclass(frozen=True)
class Cli:
    """`python -m fun.run` and `python -m reproduce` with `results` as results root, in directory `cwd`."""

    results: Path
    cwd: Path = ROOT

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"} | {
            "FUN_RESULTS": str(self.results),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        }

    def start(self, *arguments: str, module: str = "fun.run") -> Process:
        environment = self.environment()
        if can_fork(self.cwd, ROOT, environment):
            return Fork(module, arguments, self.cwd, environment)
        command, pipe = [sys.executable, "-m", module, *arguments], subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=self.cwd, env=environment)

    def __call__(
        self, *arguments: str, module: str = "fun.run", status: int | None = 0
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, module=module)
        out, err = ended(process)
        assert status is None or process.returncode == status, f"status {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def preview(self, *arguments: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self(*arguments, "dry_run=true").stdout)
        return shown

    def records(self) -> dict[str, dict[str, Any]]:
        """run_id -> record.json of every done run."""
        files = self.results.glob("runs/*/*/*/record.json")
        found = (json.loads(file.read_text()) for file in files)
        return {record["run_id"]: record for record in found}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "results")


def metrics_of(record: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """{data set: {language: {metric: value}}} of a record's JSON."""
    return {
        dataset: {language: evaluation["metrics"] for language, evaluation in languages.items()}
        for dataset, languages in record["evaluations"].items()
    }


def openings_of(record: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """(update, layers that newly open in it, from the top down) of a record's JSON."""
    openings, before = [], set[int]()
    for stage in record["stages"]:
        if opened := sorted(set(stage["open"]) - before, reverse=True):
            openings.append((stage["update"], opened))
        before = set(stage["open"])
    return openings


def outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    """What must be bit-identical between two executions of one run: not its times and places.

    Weights and predictions enter by their checksums.
    """
    kept = (
        "run_id",
        "evaluations",
        "validation",
        "selected",
        "stages",
        "inputs",
        "config",
        "tracking",
    )
    files = {name: digest for name, digest in record["files"].items() if name != "metrics.jsonl"}
    return {name: record[name] for name in kept} | {"files": files}


def real_data() -> Path:
    """The folder of real data; skips where there is none, fails in CI."""
    folder = os.environ.get("FUN_REAL_DATA")
    if folder is None:
        if os.environ.get("CI"):
            pytest.fail("FUN_REAL_DATA is unset, and CI must not skip the tests on real data")
        pytest.skip("FUN_REAL_DATA is unset: no real data here")
    return Path(folder)
