"""Runs of a toy task, in this process and in others."""

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import fun
from fun.results import Attempt, Record, RunFolder, State, run_id_of
from tests.waiting import until

IDENTITY = {"semantics": 1, "task": "copa", "seed": 0, "inputs": {"train": "world@sha256:00"}}


def run_in(root: Path | str, name: str = "gu") -> RunFolder:
    run_id = run_id_of({**IDENTITY, "schedule": name})
    return RunFolder(Path(root) / "runs" / "copa" / "micro" / f"{name}-s0-{run_id}", run_id)


def body(accuracy: float = 50.0, name: str = "gu", **changes: object) -> dict[str, Any]:
    return {
        "semantics": 1,
        "label": f"{name}-s0",
        "identity": {**IDENTITY, "schedule": name},
        "config": {"task": {"name": "copa"}, "schedule": {"name": name}, "seed": 0},
        "inputs": IDENTITY["inputs"],
        "kind": "training",
        "evaluations": {"microcopa": {"l1": {"keys": {"rows": "world"}, "metrics": {"accuracy": accuracy}}}},
        "validation": [{"update": 2, "metrics": {"accuracy": 61.0}}],
        "selected": {"update": 2, "metric": "accuracy", "value": 61.0},
        "stages": [
            {"update": 1, "open": [3], "scores": {}, "trainable": 10},
            {"update": 2, "open": [2, 3], "scores": {"2": 0.1}, "trainable": 20},
        ],
        "tracking": {"fisher_every": 0, "fisher": {}},
        "timing": {
            "train_seconds": 1.5,
            "fisher_seconds": 0,
            "evaluate_seconds": 0.5,
            "examples_per_second": 9.0,
        },
        "peak_memory_bytes": 123,
        "environment": {"torch": "2.13.0", "git": {"sha": "abc", "dirty": False}},
        "marks": ["synthetic"],
        **changes,
    }


def life(attempt: Attempt, accuracy: float = 50.0) -> Record:
    """A whole run: two updates, a checkpoint after each, predictions, the record."""
    resumed = attempt.folder / "checkpoint" / "last"
    last = int(resumed.read_text()) if resumed.exists() else 0
    log = attempt.metrics_log(keep=last)
    for update in range(last + 1, 3):
        log.append({"update": update, "loss": 1 / update})
        attempt.write_bytes("checkpoint/last", str(update).encode())
    attempt.write_bytes("predictions/microcopa.l1.parquet", f"predictions {accuracy}".encode())
    return attempt.finish(body(accuracy))


# What other processes share with the tests: without pytest, which is slow to import.
COMMON = "\n".join(
    [
        "import os, signal, sys, time",
        "from pathlib import Path",
        "from typing import Any",
        "from fun.results import AlreadyDone, Attempt, Busy, Record, RunFolder, Superseded, run_id_of",
        f"IDENTITY = {IDENTITY!r}",
        *(inspect.getsource(function) for function in (run_in, body, life)),
    ]
)


def start(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """A Python process with COMMON and `script`; its answers come line by line."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fun.__file__).parents[1])}
    command = [
        sys.executable,
        "-c",
        COMMON + script,
        *map(str, arguments),
    ]
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_stale(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUN_STALE_SECONDS", "0.3")
    until(lambda: attempt_state(run) is State.STALE, "the stopped process is stale")
    time.sleep(0.1)  # a file's time, which `begin` goes by, is a tick behind the clock


def attempt_state(run: RunFolder) -> State:
    return run.latest.status(time.time()).state


def wait_until_stopped(process: "subprocess.Popen[str]") -> None:
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the process is stopped")


BEGIN_AND_WAIT = """
with run_in(sys.argv[1]).begin() as attempt:
    print(attempt.number, flush=True)
    sys.stdin.readline()
    life(attempt)
"""


def killed_attempt(root: Path) -> RunFolder:
    """A run whose first attempt was killed with SIGKILL, and reaped."""
    process = start(BEGIN_AND_WAIT, root)
    assert line_of(process) == "1"
    process.kill()
    process.communicate()
    return run_in(root)


def done(root: Path, name: str = "gu") -> RunFolder:
    run = run_in(root, name)
    with run.begin() as attempt:
        attempt.write_bytes("predictions/microcopa.l1.parquet", b"first")
        attempt.finish(body(name=name))
    return run


def edit_claim(run: RunFolder, **changes: object) -> None:
    path = run.path / "attempts/0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
