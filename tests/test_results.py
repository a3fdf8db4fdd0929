"""The results store under real faults: killed and stopped processes, races, damaged files."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fun
from fun.errors import RunError
from fun.results import (
    AlreadyDone,
    Attempt,
    Busy,
    Damaged,
    InvalidRecord,
    NotDone,
    Record,
    RunFolder,
    State,
    Superseded,
    checksum,
    file_checksum,
    run_folders,
    run_id_of,
)
from fun.results.errors import FailedBefore, NotWritable
from fun.results.files import create_exclusive
from fun.results.record import canonical_json
from tests.conftest import queue, recorded
from tests.waiting import ended, until


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick heartbeats, and no silence counts unless a test says so: a busy machine changes no result."""
    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "0.05")
    monkeypatch.setenv("FUN_STALE_SECONDS", "1000")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: these tests wait for the disk at every step."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


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


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that a test starts; killed when it ends."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


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


# --- canonical JSON ---


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": [1, 0.1, None], "a": "é"}) == '{"a":"é","b":[1,0.1,null]}'
    assert checksum({"b": 1, "a": 2.0}) == checksum({"a": 2.0, "b": 1}) != checksum({"a": 2, "b": 1})
    assert run_id_of({}) == "44136fa355b3678a"  # sha256("{}")


def test_canonical_json_refuses_what_would_not_come_back() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"loss": [float("nan")]})


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


# --- the schema ---


def measured(accuracy: object) -> dict[str, Any]:
    return {"evaluations": {"microcopa": {"l1": {"keys": {}, "metrics": {"accuracy": accuracy}}}}}


def opened(**changes: object) -> dict[str, Any]:
    return {"stages": [{"update": 1, "open": [1], "scores": {}, "trainable": 1, **changes}]}


def test_an_artifacts_record_has_inputs_files_and_timing_and_no_training(root: Path) -> None:
    training = {"evaluations": {}, "validation": [], "selected": None, "stages": []}
    run = run_in(root)
    with run.begin() as attempt:
        attempt.write_bytes("fisher/fisher.safetensors", b"f")
        attempt.finish(body(kind="artifact", **training))
    assert run.status().state is State.DONE
    assert (run.record().kind, run.record().metrics) == ("artifact", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            measured("n/a"),
            r"evaluations\.microcopa\.l1\.metrics\.accuracy: found 'n/a': Input should be a valid number",
        ),
        (
            measured(float("nan")),
            r"evaluations\.microcopa\.l1\.metrics\.accuracy: found nan: Input should be a finite number",
        ),
        (
            {"evaluations": {"microcopa": {"l1": {"metrics": {}}}}},
            r"evaluations\.microcopa\.l1\.keys: found .*: Field required",
        ),
        ({"environment": {"x": [float("inf")]}}, r"environment\.x.*\.0.*: found inf: "),
        ({"config": {"layers": (1, 2)}}, r"config\.layers.*: found \(1, 2\): input was not a valid JSON value"),
        (opened(update=0), r"stages\.0\.update: found 0: Input should be greater than or equal to 1"),
        (opened(scores={1: 0.5}), r"stages\.0\.scores\.1.*: found 1: Input should be a valid string"),
        (opened(open=[3, 1]), r"stages\.0\.open: found \[3, 1\]: .*in ascending order, each once"),
        ({"stages": 2 * opened()["stages"]}, r"found .*expected in ascending order"),
        ({"selected": None}, r"the record: found .*expected a record that says what was selected"),
        (
            {"kind": "artifact"},
            r"the record: found .*expected no evaluations, validation, selected and",
        ),
        ({"peak_memory_bytes": True}, r"peak_memory_bytes: found True: Input should be a valid integer"),
        ({"marks": ["sinthetic"]}, r"marks\.0: found 'sinthetic': Input should be 'synthetic' or 'nonstandard'"),
        ({"notes": "x"}, r"notes: found 'x': Extra inputs"),
        ({"semantics": 2}, r"identity\.semantics: found 1, expected 2"),
        ({"inputs": {"train": "other"}}, r"identity\.inputs"),
        (
            {"identity": {"semantics": 1}},
            r"run_id: found '[0-9a-f]{16}', expected [0-9a-f]{16} for this identity",
        ),
    ],
)
def test_a_record_against_the_schema_names_the_field(root: Path, changes: dict[str, Any], message: str) -> None:
    run = run_in(root)
    with pytest.raises(InvalidRecord, match=message), run.begin() as attempt:
        attempt.finish(body(**changes))
    assert not (run.path / "record.json").exists()
    assert run.status().failure == "method"


def test_a_record_lacks_a_field(root: Path) -> None:
    incomplete = body()
    del incomplete["timing"]
    with pytest.raises(InvalidRecord, match=r"timing: found .*: Field required"), run_in(root).begin() as attempt:
        attempt.finish(incomplete)


# --- damage ---


def rewrite(run: RunFolder, seal: bool = True, **changes: object) -> None:
    """Replace fields of the record by hand, with a right checksum if `seal`."""
    fields = {**json.loads((run.path / "record.json").read_text()), **changes}
    if seal:
        fields["checksum"] = checksum({name: value for name, value in fields.items() if name != "checksum"})
    (run.path / "record.json").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: os.truncate(run.path / "record.json", 400), "cannot be read as JSON"),
        (lambda run: os.truncate(run.path / "record.json", 0), "cannot be read as JSON"),
        (lambda run: (run.path / "record.json").write_text("[]"), "holds a JSON list, expected an object"),
        (lambda run: rewrite(run, seal=False, peak_memory_bytes=124), "checksum: found"),
        (lambda run: rewrite(run, schema=1), "schema: found 1, expected 2"),
        (lambda run: rewrite(run, peak_memory_bytes="124"), "peak_memory_bytes: found '124'"),
        (lambda run: rewrite(run, identity={"semantics": 1}), "run_id: found"),
        (lambda run: (run.path / "record.json").unlink(), "record.json is gone"),
        (
            lambda run: (run.path / "record.json").write_text('{"schema": 2, "x": NaN}'),
            "NaN is not a finite number",
        ),
    ],
)
def test_damage_is_found_reported_and_replaced_only_by_force(
    root: Path, damage: Callable[[RunFolder], object], message: str
) -> None:
    run = done(root)
    damage(run)
    status = run.status()
    assert status.state is State.DAMAGED
    assert message in status.detail
    with pytest.raises(Damaged, match="force=true"):
        run.begin()
    with run.begin(force=True) as attempt:
        attempt.finish(body())
    assert run.status().state is State.DONE


def test_every_flipped_byte_is_damage_or_no_change(root: Path) -> None:
    run = done(root)
    path, expected = run.path / "record.json", run.record()
    whole = path.read_bytes()
    damaged = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            assert run.record() == expected
        except Damaged:
            damaged += 1
    assert damaged > len(whole) / 7 / 2  # the rest is whitespace between values


def test_listed_files_are_verified_on_request(root: Path) -> None:
    run = done(root)
    predictions = run.path / "predictions/microcopa.l1.parquet"
    predictions.write_bytes(b"First")
    assert run.record().attempt == 1
    with pytest.raises(Damaged, match=r"microcopa\.l1\.parquet has sha256:"):
        run.record(verify_files=True)
    predictions.unlink()
    with pytest.raises(Damaged, match=r"microcopa\.l1\.parquet is in the record and cannot be read"):
        run.record(verify_files=True)


def test_a_record_in_another_runs_folder_is_damaged(root: Path) -> None:
    run, other = done(root), run_in(root, "rev")
    os.rename(run.path, other.path)
    with pytest.raises(Damaged, match=f"found run_id {run.run_id} in a folder for {other.run_id}"):
        other.record()


# --- the step log ---


def test_the_log_is_cut_back_to_the_checkpoint_and_a_torn_line_is_ignored(root: Path) -> None:
    run = run_in(root)
    with run.begin() as attempt:
        log = attempt.metrics_log()
        for update in (1, 2, 3):
            log.append({"update": update, "loss": 0.5})
    with (run.path / "metrics.jsonl").open("a") as torn:
        torn.write('{"update": 4, "lo')
    assert [line["update"] for line in run.metrics_log()] == [1, 2, 3]
    with run.begin() as attempt:
        log = attempt.metrics_log(keep=2)
        log.append({"update": 3, "loss": 0.25})
        log.close()
        attempt.write_bytes("checkpoint/last", b"3")  # which brings the log to disk first
    assert run.metrics_log() == [
        {"update": 1, "loss": 0.5},
        {"update": 2, "loss": 0.5},
        {"update": 3, "loss": 0.25},
    ]


def test_an_odd_line_inside_the_log_is_damage(root: Path) -> None:
    run = run_in(root)
    with run.begin() as attempt:
        attempt.metrics_log().append({"update": 1})
    path = run.path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1\n' + path.read_bytes())
    with pytest.raises(Damaged, match="line 1"):
        run.metrics_log()


def test_the_log_takes_finite_numbers_with_an_update_only(root: Path) -> None:
    with run_in(root).begin() as attempt:
        log = attempt.metrics_log()
        with pytest.raises(ValueError, match="JSON compliant"):
            log.append({"update": 1, "loss": float("nan")})
        with pytest.raises(ValueError, match="integer 'update'"):
            log.append({"loss": 1.0})


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


def edit_claim(run: RunFolder, **changes: object) -> None:
    path = run.path / "attempts/0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


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


# --- readers ---


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in [folder, *folder.rglob("*")]
    }


def test_readers_never_write(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_everything(runs: list[RunFolder]) -> set[State]:
        run_folders(root)
        states = set()
        for run in runs:
            states |= {run.status().state, run.status(job_known=lambda job: True).state}
            run.metrics_log()
            for verify in (False, True):
                try:
                    run.record(verify_files=verify)
                except (NotDone, Damaged):
                    continue
        return states

    assert read_everything([run_in(root)]) == {State.MISSING}
    assert not root.exists()

    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "1000")
    runs = [
        done(root, "gu"),
        done(root, "rev"),
        killed_attempt(root / "2"),
        run_in(root, "std"),
        run_in(root, "fun"),
    ]
    runs.append(run_in(root, "rand"))
    os.truncate(runs[1].path / "record.json", 30)
    with pytest.raises(RunError), runs[3].begin():
        raise RunError("NaN")
    queue(runs[4], "1")
    with runs[5].begin() as attempt:
        attempt.metrics_log().append({"update": 1})
        before = snapshot(tmp_path)
        states = read_everything(runs)
        assert snapshot(tmp_path) == before
    assert states == set(State)


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


def test_importing_the_store_is_light() -> None:
    process = start("print(sorted({'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules)))")
    assert ended(process)[0].strip() == "[]"
