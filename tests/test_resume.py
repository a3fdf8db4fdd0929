"""Exact resume: killed at any moment and started again, a run ends bit-identical (design contract 6)."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Cli, metrics_of, outcome
from tests.forks import Process
from tests.test_run import only

RUN = ("task=copa", "schedule=fun", "train.updates=24", "train.eval_every=6", "train.batch_size=8", "fisher.batches=2",
       "schedule.k=2", "checkpoint.every=5", "track.fisher_every=8", "track.tests_every=9",
       "evaluate.languages=[en,l1]")  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict], float]:  # type: ignore[type-arg]
    """Record, step log and duration of the run when nobody kills it."""
    cli = Cli(tmp_path_factory.mktemp("undisturbed") / "results")
    started = time.monotonic()
    cli(*RUN)
    folder, record = only(cli)
    return record, steps(folder), time.monotonic() - started


def steps(folder: Path) -> list[dict]:  # type: ignore[type-arg]
    """The whole lines of a step log."""
    log = folder / "metrics.jsonl"
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def assert_equal(cli: Cli, undisturbed: tuple) -> None:  # type: ignore[type-arg]
    folder, record = only(cli)
    expected, log, _ = undisturbed
    assert outcome(record) == outcome(expected)  # weights and predictions by checksum
    assert steps(folder) == log
    assert cli.preview(*RUN)["state"] == "done"


@pytest.mark.parametrize("update", [3, 13], ids=["before the first checkpoint", "between checkpoints"])
def test_a_killed_run_resumes_exactly(cli: Cli, undisturbed: tuple, update: int) -> None:  # type: ignore[type-arg]
    process = cli.start(*RUN)
    wait_for_update(process, cli, update)
    process.kill()
    process.communicate()
    assert cli.preview(*RUN)["state"] == "stale"
    shown = cli(*RUN)
    assert ("resuming after update 10" in shown.stderr) == (update == 13)
    assert_equal(cli, undisturbed)


def test_starting_afresh_for_tracking_leaves_no_old_checkpoint_behind(cli: Cli) -> None:
    plain = [item for item in RUN if not item.startswith("track")]
    for run, update in ((plain, 7), ([*plain, "track.fisher_every=8", "checkpoint.every=99"], 2)):
        process = cli.start(*run)
        if run is not plain:
            wait_for_line(process, cli, '"kind": "fisher"')
        wait_for_update(process, cli, update)
        process.kill()
        process.communicate()
    assert "resuming" not in cli(*plain).stderr
    folder, _ = only(cli)
    assert [line["update"] for line in steps(folder) if line["kind"] == "train"] == list(range(1, 25))


def test_a_done_run_without_test_scores_along_training_is_made_again_for_them(cli: Cli) -> None:
    """With the same outcome: whether they are followed is no part of its identity. 400 examples are 4 updates."""
    run = (
        "task=copa",
        "schedule=std",
        "train.updates=6",
        "train.eval_every=6",
        "train.batch_size=100",
        "evaluate.languages=[en,l1]",
    )
    cli(*run)
    _, before = only(cli)
    assert "is done without these test scores along training" in cli(*run, "track.tests_every=epoch").stderr
    folder, record = only(cli)
    assert outcome(record) == outcome(before) | {"tracking": record["tracking"]}
    (dataset,) = record["evaluations"]
    assert record["tracking"] == before["tracking"] | {"tests_every": "epoch", "tests": {dataset: ["en", "l1"]}}
    points = [line for line in steps(folder) if line["kind"] == "test"]
    assert [(point["update"], point["epoch"]) for point in points] == [(4, 1.0), (6, 1.5)]
    assert points[0]["scores"][dataset].keys() == {"en", "l1"}
    # The selected update is the last one.
    assert points[1]["scores"] == metrics_of(record)
    assert "nothing to do" in cli(*run, "track.tests_every=epoch").stderr
    assert steps(folder)[-1] == points[1]


def wait_for_line(process: Process, cli: Cli, text: str) -> None:
    """Until some run's step log holds `text`, however long that takes while the process lives."""
    while not any(text in log.read_text() for log in cli.results.glob("runs/*/*/*/metrics.jsonl")):
        assert process.poll() is None, f"the process ended, and no step log holds {text}"
        time.sleep(0.02)


def wait_for_update(process: Process, cli: Cli, update: int) -> None:
    """Until some run's step log has reached `update`."""
    wait_for_line(process, cli, f'"update": {update},')


def test_a_stopped_run_that_was_taken_over_writes_nothing_more(cli: Cli, undisturbed: tuple, monkeypatch) -> None:  # type: ignore[no-untyped-def,type-arg]
    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "0.2")
    stopped = cli.start(*RUN)
    wait_for_update(stopped, cli, 7)
    stopped.send_signal(signal.SIGSTOP)
    busy = cli(*RUN, status=1)  # it still looks alive
    assert "is being run" in busy.stderr
    monkeypatch.setenv("FUN_STALE_SECONDS", "1")
    time.sleep(1.5)  # nothing beats meanwhile: a fast machine would come before the second is over
    cli(*RUN)
    folder, record = only(cli)
    written = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    stopped.send_signal(signal.SIGCONT)
    _, error = stopped.communicate()
    assert stopped.returncode == 1
    assert "attempt 2 took over" in error
    assert record["attempt"] == 2
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == written
    assert_equal(cli, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("number", range(20))
def test_twenty_runs_killed_at_random_moments(tmp_path: Path, undisturbed: tuple, number: int) -> None:  # type: ignore[type-arg]
    moments = random.Random(number)
    kills = 0
    for life in range(20):
        cli = Cli(tmp_path / f"life{life - kills}")  # resumed after a kill, anew after a life that ended too early
        process = cli.start(*RUN)
        # Start-up, some update (with its scoring, tracking or checkpoint), evaluation and the record behind the last.
        update = moments.choice([0, *range(1, 25), 24, 24, 24, 24, 24, 24])
        delay = moments.uniform(0, 3.0 if update in (0, 24) else 0.3)
        killed = kill_at(process, cli, update, delay)
        records = list(cli.results.glob("runs/*/*/*/record.json"))
        for record in records:
            json.loads(record.read_text())  # whole, if it is there
        if killed:
            kills += 1
            reached = [line["update"] for log in cli.results.glob("runs/*/*/*") for line in steps(log)[-1:]]
            print(
                f"run {number}: kill {kills} {delay:.2f} s after update {update}, log at {reached}, record {bool(records)}"
            )
        if kills == 1 + number % 2:
            break
    assert kills == 1 + number % 2
    cli(*RUN)
    assert_equal(cli, undisturbed)


def kill_at(process, cli: Cli, update: int, delay: float) -> bool:  # type: ignore[no-untyped-def]
    """Send SIGKILL `delay` seconds after the step log has reached `update`; False if the process ended before."""
    while process.poll() is None and update > max(
        (line["update"] for f in cli.results.glob("runs/*/*/*") for line in steps(f)), default=0
    ):
        time.sleep(0.01)
    time.sleep(delay)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


@pytest.mark.long
@pytest.mark.parametrize("schedule", ["std", "gu", "lpft", "rand", "rev", "fun", "fixed"])
@pytest.mark.parametrize("adapter", ["madx", "lora"])
def test_every_schedule_resumes_exactly(tmp_path: Path, schedule: str, adapter: str) -> None:
    run = [f"schedule={schedule}", f"adapter={adapter}", *(item for item in RUN if not item.startswith("schedule"))]
    run += [] if schedule == "std" else ["schedule.k=1"]
    run += ["schedule.order=[3,10,0,9,1,8,2,7,4,6,5]"] if schedule == "fixed" else []
    whole, killed = Cli(tmp_path / "whole"), Cli(tmp_path / "killed")
    whole(*run)
    process = killed.start(*run)
    wait_for_update(process, killed, 13)
    process.kill()
    process.communicate()
    killed(*run)
    assert outcome(only(killed)[1]) == outcome(only(whole)[1])


@pytest.mark.long
@pytest.mark.parametrize("update", [3, 12, 21], ids=["in the first epoch", "in the second", "in the third"])
def test_a_schedule_that_closes_layers_by_epoch_resumes_exactly(tmp_path: Path, update: int) -> None:
    """With a regularizer and a mask beside it: all of them choices of `tests.toys`."""
    run = ["schedule=toggle", "regularizer=pull", "mask=alternate", "train.batch_size=40",
           *(item for item in RUN if not item.startswith(("schedule", "train.batch_size")))]  # fmt: skip
    whole, killed = Cli(tmp_path / "whole"), Cli(tmp_path / "killed")
    whole(*run, module="tests.toys")
    process = killed.start(*run, module="tests.toys")
    wait_for_update(process, killed, update)
    process.kill()
    process.communicate()
    killed(*run, module="tests.toys")
    (folder, expected), (resumed, record) = only(whole), only(killed)
    assert outcome(record) == outcome(expected)
    assert steps(resumed) == steps(folder)
    stages = [line for line in steps(folder) if line["kind"] == "stage"]
    assert [stage["open"] for stage in stages] == [[11], [10], [9]]
    assert len({stage["trainable"] for stage in stages}) == 1


def test_an_interrupted_run_says_how_to_go_on(cli: Cli) -> None:
    # So many updates that it cannot end before the signal comes.
    run = ["train.updates=24000" if field.startswith("train.updates=") else field for field in RUN]
    process = cli.start(*run)
    wait_for_update(process, cli, 7)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "type the same command again" in error
    assert "Traceback" not in error
    assert cli.preview(*run)["state"] == "stale"
