"""The life of a run: who may begin it, who is alive, what replaces a record."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fun.errors import RunError
from fun.results import AlreadyDone, Attempt, Busy, NotDone, State, Superseded, file_checksum
from fun.results.errors import FailedBefore, NotWritable
from fun.results.files import create_exclusive
from tests.conftest import queue
from tests.results.runs import BEGIN_AND_WAIT, body, done, edit_claim, killed_attempt, life, line_of, run_in, start
from tests.waiting import until

# --- the life of a run ---


def test_a_run_from_missing_to_done(root: Path) -> None:
    run = run_in(root)
    assert run.status().state is State.MISSING
    with run.begin() as attempt:
        assert run.status().state is State.RUNNING
        with pytest.raises(NotDone):
            run.record()
        written = life(attempt, 75.0)
    status = run.status()
    assert (status.state, status.attempt, status.failure) == (State.DONE, 1, None)
    record = run.record(verify_files=True)
    assert record == written
    assert record.metrics == {"microcopa": {"l1": {"accuracy": 75.0}}}
    assert record.files == {
        "metrics.jsonl": file_checksum(run.path / "metrics.jsonl"),
        "predictions/microcopa.l1.parquet": file_checksum(run.path / "predictions/microcopa.l1.parquet"),
    }
    assert [line["update"] for line in run.metrics_log()] == [1, 2]
    assert {path.name for path in run.path.iterdir()} == {
        "attempts",
        "metrics.jsonl",
        "predictions",
        "record.json",
    }
    assert {path.name for path in (run.path / "attempts").iterdir()} == {
        "0001.json",
        "0001.heartbeat",
        "0001.end.json",
    }
    with pytest.raises(AlreadyDone, match="force=true"):
        run.begin()
    with pytest.raises(RuntimeError, match="over"):
        attempt.write_bytes("late", b"")


def test_a_failure_of_the_method_is_not_retried_unasked(root: Path) -> None:
    run = run_in(root)
    with pytest.raises(RunError), run.begin():
        raise RunError("the loss became NaN in update 7")
    status = run.status()
    assert (status.state, status.failure) == (State.FAILED, "method")
    assert "NaN in update 7" in status.detail
    with pytest.raises(FailedBefore, match=r"NaN in update 7.*retry=true"):
        run.begin()
    with run.begin(retry=True) as attempt:
        assert attempt.number == 2


def test_a_failure_of_the_machine_is_retried(root: Path) -> None:
    run = run_in(root)
    with pytest.raises(MemoryError), run.begin():
        raise MemoryError("out of memory")
    status = run.status()
    assert (status.state, status.failure) == (State.FAILED, "machine")
    with run.begin() as attempt:
        life(attempt)
    assert run.record().attempt == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, None])
def test_an_interrupted_attempt_is_stale_at_once(root: Path, error: type[BaseException] | None) -> None:
    run = run_in(root)
    try:
        with run.begin():
            if error is not None:
                raise error
    except BaseException as raised:
        assert type(raised) is error  # noqa: PT017 - the context must not swallow it, and None raises nothing
    assert run.status().state is State.STALE
    assert "interrupted" in run.status().detail
    with run.begin() as attempt:
        assert attempt.number == 2


def test_publishing_a_folder(root: Path) -> None:
    def save(path: Path) -> None:
        (path / "head").mkdir(parents=True)
        (path / "adapter.safetensors").write_bytes(b"a")
        (path / "head" / "head.safetensors").write_bytes(b"h")

    run = run_in(root)
    with run.begin() as attempt:
        attempt.publish("adapters/task", save)
        record = attempt.finish(body())
    assert set(record.files) == {"adapters/task/adapter.safetensors", "adapters/task/head/head.safetensors"}


def test_a_write_that_fails_leaves_the_old_file(root: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with run_in(root).begin() as attempt:
        path = attempt.folder / "checkpoint/last"
        attempt.write_bytes("checkpoint/last", b"whole")
        with pytest.raises(OSError, match="disk full"):
            attempt.publish("checkpoint/last", fail)
        assert path.read_bytes() == b"whole"
        assert [entry.name for entry in path.parent.iterdir()] == ["last"]


# --- replacing a record ---


def test_force_keeps_the_old_record_and_files_until_the_new_are_final(root: Path) -> None:
    run = done(root)
    old = run.record()
    with run.begin(force=True) as attempt:
        assert attempt.previous == old
        attempt.metrics_log().append({"update": 1})
        attempt.write_bytes("predictions/microcopa.l1.parquet", b"second")
        attempt.write_bytes("checkpoint/last", b"1")
        assert run.record(verify_files=True) == old
        assert run.status().state is State.DONE
        with pytest.raises(Busy, match="attempt 2"):
            run.begin(force=True)
    assert run.record(verify_files=True) == old
    # The interrupted one is continued by the next.
    with run.begin(force=True) as attempt:
        assert (attempt.folder / "checkpoint/last").read_bytes() == b"1"
        attempt.metrics_log(keep=1).append({"update": 2})
        attempt.write_bytes("predictions/microcopa.l1.parquet", b"second")
        attempt.finish(body(60.0))
    assert run.record(verify_files=True).metrics["microcopa"]["l1"]["accuracy"] == 60.0
    assert [line["update"] for line in run.metrics_log()] == [1, 2]
    assert not (run.path / "redo").exists()
    # And after that one, which finished, the next begins anew; so does one with another aim.
    with run.begin(force=True) as attempt:
        assert not attempt.folder.exists()
        attempt.write_bytes("checkpoint/last", b"1")
    with run.begin(extend=True) as attempt:
        assert not attempt.folder.exists()


def test_extending_a_done_run_keeps_its_files(root: Path) -> None:
    run = run_in(root)
    with pytest.raises(NotDone):
        run.begin(extend=True)
    assert not run.path.exists()
    done(root)
    old = run.record()
    with run.begin(extend=True) as attempt:
        attempt.write_bytes("predictions/microcopa.l2.parquet", b"l2")
        both = {name: {"keys": {}, "metrics": {"accuracy": value}} for name, value in (("l1", 50.0), ("l2", 40.0))}
        assert run.record(verify_files=True) == old
        attempt.finish(body(evaluations={"microcopa": both}))
    record = run.record(verify_files=True)
    assert record.metrics == {"microcopa": {"l1": {"accuracy": 50.0}, "l2": {"accuracy": 40.0}}}
    assert set(record.files) == {"predictions/microcopa.l1.parquet", "predictions/microcopa.l2.parquet"}


# --- who is alive ---


def test_a_killed_process_is_stale_at_once_and_taken_over(root: Path) -> None:
    run = killed_attempt(root)
    assert run.status().state is State.STALE
    assert "killed" in run.status().detail
    with run.begin() as attempt:
        life(attempt)
    assert run.record().attempt == 2


def test_a_killed_process_that_nobody_reaped_is_stale(root: Path, processes: list[Any]) -> None:
    processes.append(start(BEGIN_AND_WAIT, root))
    assert line_of(processes[0]) == "1"
    os.kill(processes[0].pid, signal.SIGKILL)
    until(lambda: run_in(root).status().state is State.STALE, "the zombie counts as gone")


def test_a_recycled_pid_is_not_mistaken_for_the_process(root: Path) -> None:
    run = killed_attempt(root)
    edit_claim(run, pid=os.getpid())  # a living process, which began at another time
    assert run.status().state is State.STALE


def test_another_host_is_believed_by_its_heartbeat_only(root: Path) -> None:
    run = killed_attempt(root)
    edit_claim(run, host="node17", boot="another", job="99_1")
    assert run.status().state is State.RUNNING
    with pytest.raises(Busy, match=r"host node17, pid \d+, job 99_1\), last heartbeat \d+ s ago.*1000 s"):
        run.begin()
    assert run.status(now=time.time() + 999).state is State.RUNNING
    assert run.status(now=time.time() + 1001).state is State.STALE


def test_a_clock_that_is_ahead_takes_no_live_run_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = killed_attempt(root)
    edit_claim(run, host="node17", boot="another")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2000)
    assert run.status().state is State.STALE
    with pytest.raises(Busy, match="node17"):
        run.begin()
    assert not [path for path in (run.path / "attempts").iterdir() if path.name.startswith(".")]


def test_the_heartbeat_keeps_a_long_attempt_alive(root: Path, processes: list[Any]) -> None:
    run = run_in(root)
    processes.append(start(BEGIN_AND_WAIT, root))
    assert line_of(processes[0]) == "1"
    first = (run.path / "attempts/0001.heartbeat").stat().st_mtime
    until(lambda: (run.path / "attempts/0001.heartbeat").stat().st_mtime > first + 0.2, "it beats on")
    assert run.status(now=first + 1000.1).state is State.RUNNING
    processes[0].communicate("go on\n")
    assert run.record(verify_files=True).attempt == 1


@pytest.mark.parametrize("previous", ["nothing", "a killed attempt", "a record"])
def test_of_eight_at_once_exactly_one_begins(root: Path, processes: list[Any], previous: str) -> None:
    if previous == "a killed attempt":
        killed_attempt(root)
    if previous == "a record":
        done(root)
    for _ in range(8):
        processes.append(
            start(
                """
print("ready", flush=True)
sys.stdin.readline()
try:
    attempt = run_in(sys.argv[1]).begin(force=sys.argv[2] == "a record")
except Busy as busy:
    print("busy", flush=True)
else:
    print("began", attempt.number, flush=True)
    sys.stdin.readline()
""",
                root,
                previous,
            )
        )
    assert {line_of(process) for process in processes} == {"ready"}
    for process in processes:
        process.stdin.write("now\n")
        process.stdin.flush()
    number = 1 if previous == "nothing" else 2
    assert sorted(line_of(process) for process in processes) == [f"began {number}", *["busy"] * 7]


# --- the queue ---


def test_a_job_is_believed_while_the_scheduler_knows_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(root)
    queue(run, "41_3")
    assert run.status().state is State.MISSING
    assert "41_3" in run.status().detail
    assert run.status(job_known=lambda job: job == "41_3").state is State.QUEUED
    forgotten = run.status(job_known=lambda job: False)
    assert (forgotten.state, "no longer knows job 41_3" in forgotten.detail) == (State.MISSING, True)
    monkeypatch.setenv("SLURM_JOB_ID", "57")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "41")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with run.begin() as attempt:
        assert run.status(job_known=lambda job: True).state is State.RUNNING
        attempt.fail("method", "NaN")
    # The array may still be at its other tasks' runs: this one's failure is final.
    assert run.status(job_known=lambda job: True).state is State.FAILED
    queue(run, "42")
    assert run.status(job_known=lambda job: True).state is State.QUEUED
    with run.begin(retry=True) as attempt:
        attempt.finish(body())
    assert run.status(job_known=lambda job: True).state is State.DONE


# --- an attempt that is over ---


def test_a_superseded_attempt_object_says_who_took_over(root: Path) -> None:
    run = run_in(root)
    first: Attempt = run.begin()
    edit_claim(run, pid_start=1)  # as if its process had gone
    with run.begin() as second:
        with pytest.raises(Superseded, match=rf"attempt 2 took over .*pid {os.getpid()}"):
            first.check_current()
        with pytest.raises(Superseded):
            first.fail("machine", "too late")
        life(second)
    assert run.record().attempt == 2


def test_a_folder_removed_under_an_attempt_ends_it(root: Path) -> None:
    run = run_in(root)
    attempt = run.begin()
    shutil.rmtree(run.path)
    with pytest.raises(Superseded, match="was removed"):
        attempt.write_bytes("config.yaml", b"")
    with pytest.raises(Superseded, match="was removed"):
        attempt.interrupt("nowhere to say so")


def test_what_cannot_be_written_is_told_with_its_path_and_the_reason() -> None:
    run = run_in("/proc/results")
    assert run.status().state is State.MISSING
    with pytest.raises(NotWritable, match=r"^/proc/results cannot be written \(No such file or directory\): "):
        run.begin()
    with pytest.raises(NotWritable, match=r"^/proc/results cannot be written "):
        run.reserve(lambda job: False)
    with pytest.raises(NotWritable, match=r"^/proc/0001.json cannot be written "):  # a folder there already
        create_exclusive(Path("/proc/0001.json"), {})
