"""Processes stopped and killed in the middle of a run, at every change of the disk, and many at once."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fun.results import AlreadyDone, Busy, State
from tests.conftest import recorded
from tests.results.runs import body, done, life, line_of, run_in, start, wait_until_stale, wait_until_stopped
from tests.waiting import ended, until

# --- stopped, taken over, continued ---

STOP_AT = """
root, name, force = sys.argv[1:]
def stop(event, arguments):
    # Raised right before the system call: after the last check that the attempt is current.
    if event in ("os.link", "os.rename") and os.path.exists(arguments[0]):
        if any(str(path).endswith(name) for path in arguments[:2]):
            os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(stop)
try:
    with run_in(root).begin(force=force == "force") as attempt:
        life(attempt, 11.0)
except (AlreadyDone, Superseded) as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("first_finishes", ["before", "after"])
@pytest.mark.parametrize("name", ["record.json", "microcopa.l1.parquet", "checkpoint/last", "metrics.jsonl"])
def test_an_attempt_stopped_between_check_and_rename_writes_nothing(
    root: Path, processes: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, first_finishes: str
) -> None:
    run = run_in(root)
    processes.append(start(STOP_AT, root, name, "run"))
    wait_until_stopped(processes[0])
    wait_until_stale(run, monkeypatch)
    with run.begin() as second:
        assert second.number == 2
        if first_finishes == "after":
            life(second, 22.0)
        os.kill(processes[0].pid, signal.SIGCONT)
        said, _ = ended(processes[0])
        if first_finishes == "before":
            life(second, 22.0)
    assert "attempt 2 took over" in said
    record = run.record(verify_files=True)
    assert (record.attempt, record.metrics["microcopa"]["l1"]["accuracy"]) == (2, 22.0)
    assert (run.path / "predictions/microcopa.l1.parquet").read_bytes() == b"predictions 22.0"
    assert [line["update"] for line in run.metrics_log()] == [1, 2]


def test_a_stopped_attempt_that_goes_on_is_superseded_and_its_log_lines_are_lost(
    root: Path, processes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(root)
    processes.append(
        start(
            """
try:
    with run_in(sys.argv[1]).begin() as attempt:
        log = attempt.metrics_log()
        for update in range(1, 10**9):
            log.append({"update": update, "by": 1})
            time.sleep(0.001)
except Superseded as error:
    print(error, flush=True)
""",
            root,
        )
    )
    until(lambda: len(run.metrics_log()) > 20, "the first attempt trains")
    os.kill(processes[0].pid, signal.SIGSTOP)
    wait_until_stale(run, monkeypatch)
    with run.begin() as second:
        log = second.metrics_log(keep=20)
        os.kill(processes[0].pid, signal.SIGCONT)
        said, _ = ended(processes[0])
        log.append({"update": 21, "by": 2})
        second.finish(body())
    assert "attempt 2 took over" in said
    assert [line["by"] for line in run.metrics_log()] == [1] * 20 + [2]
    assert run.record(verify_files=True).attempt == 2


@pytest.mark.parametrize("name", ["redo", "end.json"])
def test_an_attempt_stopped_after_its_record_was_final_disturbs_no_later_one(
    root: Path, processes: list[Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is stopped before it clears up, or before it says that it is done."""
    run = done(root)
    processes.append(start(STOP_AT, root, name, "force"))
    wait_until_stopped(processes[0])
    assert run.record(verify_files=True).attempt == 2
    with pytest.raises(AlreadyDone):
        run.begin()
    with pytest.raises(Busy):
        run.begin(force=True)
    wait_until_stale(run, monkeypatch)
    with run.begin(force=True) as third:
        assert not third.folder.exists()  # the second attempt's work aside is over, and not to be continued
        third.write_bytes("checkpoint/last", b"1")
        os.kill(processes[0].pid, signal.SIGCONT)
        said, _ = ended(processes[0])
        assert said == ""
        assert (third.folder / "checkpoint/last").read_bytes() == b"1"
        life(third, 33.0)
    assert run.record(verify_files=True).attempt == 3


def test_an_attempt_that_finishes_while_another_takes_over_stays_the_result(
    root: Path, processes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(root)
    first = start(STOP_AT, root, "predictions/microcopa.l1.parquet", "run")
    processes.append(first)
    wait_until_stopped(first)
    wait_until_stale(run, monkeypatch)
    second = start(STOP_AT, root, "0002.json", "run")  # it has seen a stale run, and is about to claim it
    processes.append(second)
    wait_until_stopped(second)
    os.kill(first.pid, signal.SIGCONT)
    assert ended(first)[0] == ""
    os.kill(second.pid, signal.SIGCONT)
    assert "is done (attempt 1)" in ended(second)[0]
    assert run.status().state is State.DONE
    assert run.record(verify_files=True).attempt == 1


# --- killed anywhere ---

KILL_AT_EVERY_CHANGE = """
root, mode = sys.argv[1:]
CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
def changes(event, arguments):
    return event in CHANGES or (event == "open" and arguments[2] & os.O_CREAT)

def killed_at(number, run):
    seen = 0
    def kill(event, arguments):
        nonlocal seen
        if changes(event, arguments):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill)
    with run.begin(force=mode == "force") as attempt:
        life(attempt, 2.0)

for number in range(1, 1000):
    run = run_in(f"{root}/{number}")
    if mode == "force":
        with run.begin() as attempt:
            attempt.finish(body(1.0))
    print(number)
    child = os.fork()
    if child == 0:
        killed_at(number, run)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
"""


@pytest.mark.parametrize("mode", ["run", "force"])
def test_killed_before_any_change_of_the_disk_the_record_is_whole_and_the_run_goes_on(
    tmp_path: Path, mode: str
) -> None:
    said, _ = ended(start(KILL_AT_EVERY_CHANGE, tmp_path, mode))
    cases = said.split()
    assert len(cases) > 30
    seen = set()
    for case in cases:
        run = run_in(tmp_path / case)
        status = run.status()
        seen.add(status.state)
        if mode == "force":
            assert run.record().metrics["microcopa"]["l1"]["accuracy"] in (1.0, 2.0)
        if status.state is not State.DONE or mode == "force":
            with run.begin(force=mode == "force") as attempt:
                life(attempt, 2.0)
        assert run.record(verify_files=True).metrics["microcopa"]["l1"]["accuracy"] == 2.0
        assert [line["update"] for line in run.metrics_log()] == [1, 2]
        assert not (run.path / "redo").exists()
    assert seen == ({State.DONE} if mode == "force" else {State.MISSING, State.STALE, State.DONE})


# --- fifty at once ---

FINISH_TEN_RUNS = """
sys.stdin.readline()
finished = 0
for number in range(10):
    name = f"seed{number}"
    try:
        with run_in(sys.argv[1], name).begin() as attempt:
            attempt.write_bytes("predictions/x.parquet", b"x" * 100_000)
            attempt.finish(body(name=name))
            finished += 1
    except (AlreadyDone, Busy, Superseded):
        pass
print(finished, flush=True)
"""


@pytest.mark.long
def test_of_fifty_processes_with_the_same_ten_runs_each_run_is_finished_once(root: Path, processes: list[Any]) -> None:
    processes += [start(FINISH_TEN_RUNS, root) for _ in range(50)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    finished = [int(line_of(process)) for process in processes]
    print("runs finished by each of 50 processes:", finished)
    assert sum(finished) == 10
    assert len({run.record().run_id for run in recorded(root)}) == 10
