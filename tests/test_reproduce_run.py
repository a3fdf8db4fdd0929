"""`python -m reproduce run`: what is started here and what is not, in which order, and what is told."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fun.errors import RunError
from fun.inputs import run_folder
from fun.results import NEVER_BEGUN, State
from reproduce.__main__ import main
from reproduce.declare.parts import Needed
from reproduce.runs.plan import Entry
from reproduce.runs.store import Absent, configuration, producers
from reproduce.start.here import _left, run_missing, work
from reproduce.start.jobs import last_line
from tests.conftest import Cli
from tests.synthetic import fail, write_run

COPA = ("model=micro", "task=copa", "schedule=std", "train.updates=20")
RUN = f"python -m fun.run {' '.join(COPA)}"


def test_a_dry_run_prints_what_would_be_started_producers_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = Needed((*COPA, "seed=3", "language_adapters.l1=train"))
    plain = [Needed((*COPA, f"seed={seed}")) for seed in range(3)]
    write_run(tmp_path, configuration(plain[0].overrides), {}, marks=())
    failed = fail(plain[1], tmp_path, lambda: RunError("the loss is nan"))
    assert run_missing({"": [trained, *plain]}, tmp_path, workers=2, dry_run=True) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"held back: {failed.path.name}: failed: {failed.status().detail}",
        "--retry also starts runs that failed",
        "python -m fun.run task=mlm lang=l1 model=micro",
        f"{RUN} seed=2",
        f"{RUN} seed=3 language_adapters.l1=train",
    ]


def test_a_done_run_is_not_started_again_for_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = tuple(("microcopa", language, "accuracy") for language in ("en", "l2"))
    needed = Needed((*COPA, "evaluate.languages=[en,l2]", "language_adapters.l2=null"), values)
    write_run(tmp_path, configuration(needed.overrides), {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    assert run_missing({"": [needed]}, tmp_path, workers=1, dry_run=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "gap: 1 done run without microcopa in l2: no language adapter is there, or on its way",
        "Nothing to run: 1 of 1 runs are done.",
    ]


def test_a_run_under_way_is_left_to_who_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(COPA)
    run = run_folder(config, tmp_path)
    with run.begin() as attempt:
        assert run_missing({"": [Needed(COPA)]}, tmp_path, workers=1, dry_run=False) == 1
        attempt.interrupt("enough")
    told, nothing = capsys.readouterr().out.splitlines()
    assert told.startswith(f"under way: {run.path.name}: ")
    assert str(os.getpid()) in told
    assert nothing == "Nothing to run: 0 of 1 runs are done."


def test_a_run_waits_for_a_producer_that_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = configuration(typed := (*COPA, "language_adapters.l1=train"))
    (maker,) = (configuration(made.overrides) for made in producers(reader))
    made = run_folder(maker, tmp_path)
    with made.begin() as attempt:
        assert run_missing({"": [Needed(typed)]}, tmp_path, workers=1, dry_run=False) == 2
        attempt.interrupt("enough")
    _, not_yet, nothing = capsys.readouterr().out.splitlines()
    name = run_folder(reader, tmp_path).path.name
    assert not_yet == f"not yet: {name} reads what {made.path.name} makes; run again when that is done"
    assert nothing == "Nothing to run: 0 of 2 runs are done."


def test_a_run_that_leaves_no_record_is_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The child's own last line is shown: without a hub and a cache a real model cannot be had."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    typed = ["model=xlmr", "task=copa", "adapter=madx", "data_size=full", "schedule=std", "seed=0"]
    sweep = [*typed[:-1], "seed=0,1"]
    assert main(["run", *sweep, "--results", str(tmp_path), "--jobs", "1", "--at-most", "1"]) == 1
    count, *_, outcome, reason, log = capsys.readouterr().out.splitlines()
    assert count.startswith("1 of 2 runs to do, 1 for the next time, 1 at a time")
    assert outcome == f"[1/1] FAILED (exit status 1): {' '.join(typed)}"
    assert "FacebookAI/xlm-roberta-base is not in the cache" in reason
    assert Path(log.removeprefix("    log: ")).read_text().splitlines()[-1] == reason.strip()


@pytest.mark.long
def test_what_one_run_makes_the_next_reads(cli: Cli) -> None:
    typed = (*COPA, "evaluate.languages=[en,l1]", "language_adapters.l1=train")
    shown = cli("run", *typed, module="reproduce").stdout.splitlines()
    ends = [line for line in shown if line.startswith("[")]  # on a slow machine there is progress between them
    assert [line.split()[0] for line in ends] == ["[1/2]", "[2/2]"]
    assert "task=mlm" in ends[0]
    config = configuration(typed)
    (made,) = (configuration(made.overrides) for made in producers(config))
    record = run_folder(config, cli.results).record()
    assert list(record.metrics["microcopa"]) == ["en", "l1"]
    assert run_folder(made, cli.results).record()


def test_the_time_left_is_that_of_runs_of_the_shape_or_of_those_that_ended() -> None:
    """Two at a time: 1 h, half an hour, and one that nobody measured, as long as the mean of 20 and 40 minutes."""
    run = configuration(COPA)
    entry = Entry(Needed(COPA), run_folder(run, Path("nowhere")), Absent(State.MISSING), NEVER_BEGUN)
    entries = [replace(entry, hours=hours) for hours in (1.0, 0.5, None)]
    assert _left(entries, [1200.0, 2400.0], workers=2) == ", about 1:00:00 left"
    assert _left(entries[:1], [1200.0], workers=2) == ", about 1:00:00 left"
    assert _left([], [1200.0], workers=2) == ""


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_workers_run_every_job_and_report_each(tmp_path: Path) -> None:
    jobs = {tmp_path / f"{n}.log": _python(f"print('line {n}'); raise SystemExit({n})") for n in range(3)}
    ended: dict[Path, int] = {}
    work(jobs, 2, dict(os.environ), lambda log, status, seconds: ended.update({log: status}))
    assert ended == {tmp_path / f"{n}.log": n for n in range(3)}
    assert [last_line(log.read_text()) for log in jobs] == ["line 0", "line 1", "line 2"]


def test_an_interrupt_stops_the_children(tmp_path: Path) -> None:
    sleeper = _python(f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    waiter = _python(
        f"import os, time\nwhile not os.path.exists({str(tmp_path / 'pid')!r}) or not open("
        f"{str(tmp_path / 'pid')!r}).read(): time.sleep(0.02)"
    )

    def interrupt(log: Path, status: int, seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work({tmp_path / "sleeper.log": sleeper, tmp_path / "waiter.log": waiter}, 2, dict(os.environ), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
