"""Reservations: who is to run a run, so that of several planners one submits it, and none what a job still has."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fun.inputs import run_folder
from fun.results import Phase, RunFolder, State
from reproduce.declare.parts import Needed
from reproduce.runs.plan import plan
from reproduce.runs.store import Store, configuration
from reproduce.start.jobs import job_of, submitted_job
from tests.conftest import ROOT, everybody, nobody, queue, told
from tests.synthetic import write_run
from tests.waiting import until

COPA = ("model=micro", "task=copa", "schedule=std", "train.updates=20")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "copa" / "micro" / "gu-0123456789abcdef", "0123456789abcdef")


def test_a_run_is_reserved_once(run: RunFolder) -> None:
    reservation = run.reserve(nobody)
    assert reservation is not None
    assert run.reserve(nobody) is None
    assert run.status(job_known=nobody).state is State.QUEUED
    reservation.note(job="41_3")
    assert run.reserve(everybody) is None
    again = run.reserve(nobody)  # the scheduler has forgotten the job
    assert again is not None
    again.note(phase=Phase.OVER)
    assert run.reserve(nobody) is not None


def test_what_failed_outside_of_a_job_is_reserved_once(run: RunFolder) -> None:
    for kind in ("machine", "method"):
        with run.begin(retry=True) as attempt:
            attempt.fail(kind, "no space")
        reservation = run.reserve(nobody)
        assert reservation is not None
        assert run.reserve(nobody) is None
        reservation.note(phase=Phase.OVER)


def test_a_job_that_is_through_with_a_run_has_it_no_more(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(run, "17")
    run.note(Phase.OVER)  # not by this job
    assert run.status(job_known=everybody).state is State.QUEUED
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    run.note(Phase.OVER)
    assert run.status(job_known=everybody).state is State.MISSING
    assert run.reserve(everybody) is not None


def test_what_is_retried_belongs_to_its_new_job(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(run, "17")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    run.begin().fail("method", "the loss is nan")
    queue(run, "18")  # while 17 has other runs to do
    assert job_of(run, everybody) == submitted_job(run, everybody) == "18"
    with run.begin(retry=True) as attempt:  # by hand, in a session that is a job
        assert job_of(run, everybody) == "17"
        assert submitted_job(run, everybody) == "18"
        attempt.interrupt("enough")


def test_a_mark_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    runs = [Needed((*COPA, f"seed={seed}")) for seed in (0, 1)]
    folder = run_folder(configuration(runs[0].overrides), tmp_path)
    queue(folder, "17")
    reservation = folder.reservation()
    assert reservation is not None
    reservation.path.write_bytes(b"")
    assert all(entry.startable for entry in plan({"": runs}, Store(tmp_path), nobody))
    assert told(folder).splitlines()[1].split()[:2] == ["all", "1"]
    assert "cannot be read" in folder.status().detail


def test_a_planner_that_lives_keeps_its_marks_however_long_it_takes(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservation = run.reserve(nobody)
    assert reservation is not None
    os.utime(reservation.path, (0, 0))
    assert run.reserve(nobody) is None
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")  # from there only the time can tell
    assert run.status(job_known=nobody).state is State.MISSING
    reservation.renew()
    assert run.status(job_known=nobody).state is State.QUEUED


def test_a_job_tries_again_what_failed_because_of_its_machine(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(run, "17")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    run.begin().fail("machine", "no space")
    assert run.status(job_known=everybody).state is State.QUEUED  # by the same job, requeued or still at other runs
    assert run.reserve(everybody) is None
    assert run.status(job_known=nobody).state is State.FAILED


def test_a_done_run_is_under_way_while_it_is_completed_and_not_while_its_job_does_others(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    config = configuration(COPA)
    done = run_folder(config, tmp_path)
    queue(done, "17")
    write_run(tmp_path, config, {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    assert not done.under_way(everybody)
    queue(done, "18")
    assert done.under_way(everybody)
    assert not done.under_way(nobody)
    with done.begin(extend=True) as attempt:
        assert done.under_way(nobody)
        attempt.interrupt("enough")


def test_a_planner_that_was_killed_reserves_nothing(run: RunFolder) -> None:
    reserving = f"""
import os, pathlib
from fun.results import RunFolder
assert RunFolder(pathlib.Path({str(run.path)!r}), {run.run_id!r}).reserve(lambda job: False)
os.kill(os.getpid(), {signal.SIGKILL})
"""
    subprocess.run([sys.executable, "-c", reserving], cwd=ROOT, check=False)
    reservation = run.reservation()
    assert reservation is not None
    assert reservation.job is None
    assert run.status(job_known=everybody).state is State.MISSING
    assert run.reserve(everybody) is not None


def test_of_many_planners_one_reserves_a_run(run: RunFolder) -> None:
    program = f"""
import pathlib
from fun.results import RunFolder
input()
reservation = RunFolder(pathlib.Path({str(run.path)!r}), {run.run_id!r}).reserve(lambda job: True)
print(reservation is not None, flush=True)
input()
"""
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    planners = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(6)]
    for planner in planners:
        assert planner.stdin is not None
        planner.stdin.write("\n")
        planner.stdin.flush()
    told = [planner.stdout.readline() for planner in planners if planner.stdout is not None]
    for planner in planners:
        planner.communicate("\n")
    assert sorted(told) == ["False\n"] * 5 + ["True\n"]


def test_a_silent_attempt_is_stale_once_its_job_is_gone(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "100")
    monkeypatch.setenv("SLURM_JOB_ID", "57")
    with run.begin():
        assert run.status(job_known=nobody).state is State.RUNNING  # its heartbeat is believed
        monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "0.001")
        until(lambda: run.status(job_known=nobody).state is State.STALE, "it is silent")
        assert run.status(job_known=everybody).state is State.RUNNING
        assert run.status().state is State.RUNNING
