"""Asked to end: save after the current update, come back exactly, and not for ever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fun.machine import signals as survival
from fun.machine.signals import Stopped, check, deferred, handling
from fun.results import Busy, RunFolder, State, Superseded
from fun.results.errors import NoProgress
from fun.training.checkpoint import Checkpoint
from tests.conftest import ROOT, Cli
from tests.test_run import only, wait_for_update
from tests.waiting import ended

RUN = ("task=copa", "schedule=fun", "train.updates=24", "train.eval_every=12", "train.batch_size=8", "fisher.batches=2",
       "schedule.k=2", "checkpoint.every=20", "evaluate.languages=[en]")  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "copa" / "micro" / "gu-0123456789abcdef", "0123456789abcdef")


def test_a_run_that_is_asked_to_end_loses_no_update(cli: Cli) -> None:
    process = cli.start(*RUN)
    wait_for_update(cli, 7)
    process.send_signal(signal.SIGUSR2)
    _, error = ended(process)
    assert process.returncode == 128 + signal.SIGUSR2
    assert "asked to end by SIGUSR2: the same command goes on" in error
    (folder,) = cli.results.glob("runs/*/*/*")
    saved = Checkpoint.read(folder / "checkpoint" / "last.pt").progress.update
    assert 7 <= saved < 20
    assert f"resuming after update {saved} of 24" in cli(*RUN).stderr
    assert only(cli)[1]["attempt"] == 2


def test_a_request_waits_where_it_is_deferred() -> None:
    before = signal.getsignal(signal.SIGTERM)
    reached = []

    def update(number: int) -> None:
        reached.append(number)
        signal.raise_signal(signal.SIGTERM)
        reached.append(number + 1)
        check()
        reached.append(number + 2)

    with pytest.raises(Stopped, match="SIGTERM"), handling(), deferred():
        update(10)
    with pytest.raises(Stopped, match="SIGTERM"), handling():
        update(20)
    assert reached == [10, 11, 20]
    check()  # who runs next in this process was not asked to end
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `scontrol` is asked of a running job, line by line."""
    programs, asked = tmp_path / "bin", tmp_path / "asked"
    programs.mkdir()
    asked.touch()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {asked}\necho JobState=RUNNING\n')
    (programs / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    return asked


def test_a_run_of_a_batch_script_starts_its_job_again(asked: Path) -> None:
    with pytest.raises(SystemExit) as left:
        survival.leave(Stopped(signal.SIGUSR2))
    assert left.value.code == 128 + signal.SIGUSR2
    assert asked.read_text().splitlines() == ["show job --oneliner 99", "requeue 99"]


@pytest.mark.parametrize(("variable", "value"), [(survival.REQUEUE, "no"), ("SUBMITIT_EXECUTOR", "local")])
def test_a_session_is_not_started_again_for_a_run_in_it(
    asked: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)  # `reproduce run` and `submit --profile local` in an interactive job
    if variable == "SUBMITIT_EXECUTOR":  # as in the process that submitit itself starts
        monkeypatch.setattr(signal, "getsignal", lambda number: print)
    with pytest.raises(SystemExit):
        survival.leave(Stopped(signal.SIGTERM))
    assert asked.read_text() == ""


def attempt_from(run: RunFolder, update: int, end: BaseException) -> None:
    """An attempt that goes on from `update`, two being allowed in vain, and ends so."""
    with run.begin() as attempt:
        attempt.resume(update, updates=100, restarts=2)
        raise end


def halted_at(run: RunFolder, update: int, end: BaseException) -> None:
    """The same, and that is how it ends."""
    with pytest.raises(type(end)):
        attempt_from(run, update, end)


def test_a_run_that_comes_back_to_one_update_fails_and_may_be_tried_anew(run: RunFolder) -> None:
    stopped = Stopped(signal.SIGUSR2)
    halted_at(run, 40, stopped)
    halted_at(run, 40, stopped)
    with pytest.raises(NoProgress):
        attempt_from(run, 40, stopped)
    assert (run.status().state, run.status().failure, run.machine_failures()) == (State.FAILED, "machine", 1)
    assert "came back to update 40 of 100 after 2 attempts" in run.status().detail
    halted_at(run, 40, stopped)
    assert run.machine_failures() == 0


def test_a_run_that_is_killed_before_it_trains_failed_because_of_its_machine(run: RunFolder) -> None:
    killed_twice = f"""
import os, pathlib, signal
from fun.results import RunFolder
for _ in range(2):
    if (child := os.fork()) == 0:
        RunFolder(pathlib.Path({str(run.path)!r}), {run.run_id!r}).begin()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", killed_twice], cwd=ROOT, check=True)
    assert (run.latest.number, run.machine_failures()) == (2, 2)
    with run.begin():
        assert run.machine_failures() == 2  # this one lives
    assert run.machine_failures() == 0  # and was not killed


def test_a_run_that_advances_and_one_that_a_person_interrupts_may_come_back(run: RunFolder) -> None:
    for update in (0, 20, 20, 40):
        halted_at(run, update, Stopped(signal.SIGTERM))
    for _ in range(4):
        halted_at(run, 40, KeyboardInterrupt())
    assert run.status().state is State.STALE


def test_heartbeats_tell_how_far_an_attempt_is(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "0.05")
    assert run.latest.pace() is None
    with run.begin() as attempt:
        attempt.resume(3, updates=10, restarts=5)
        pace = run.latest.pace()
        assert pace is not None
        assert (pace.resumed, pace.update, pace.updates) == (3, 3, 10)
        log = attempt.metrics_log(keep=3)
        log.append({"update": 5})
        while pace is None or pace.update == 3:
            pace = run.latest.pace()
        assert (pace.resumed, pace.update, pace.updates) == (3, 5, 10)
        assert pace.seconds > 0


def test_a_job_that_slurm_started_again_takes_over_from_itself(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "57")
    states = []

    def node_lost() -> None:
        with run.begin():
            states.append(run.status().state)
            monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
            states.append(run.status().state)
            halted_at(run, 3, Stopped(signal.SIGTERM))  # on the new node

    with pytest.raises(Superseded):
        node_lost()
    assert states == [State.RUNNING, State.STALE]


def test_another_job_does_not_take_over(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "57")
    with run.begin():
        monkeypatch.setenv("SLURM_JOB_ID", "58")
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        with pytest.raises(Busy):
            run.begin()
