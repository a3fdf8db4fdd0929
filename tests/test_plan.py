"""The plan: every run once, producers first, each in its true state; and the store under a crowd of processes."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fun.config.compose import assignment
from fun.inputs import compose, run_folder, run_id
from fun.preview import preview
from fun.results import RunFolder, local_job
from reproduce.__main__ import main
from reproduce.declare import papers
from reproduce.runs.store import Store, configuration
from tests import synthetic, waiting
from tests.conftest import ROOT, Cli, queue, recorded

KNOWN = papers.targets()


@pytest.fixture
def root() -> Iterator[Path]:
    """A results folder, in memory where there is a folder of that kind: the store waits for the disk at every step."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "results"


def plan(root: Path, capsys: pytest.CaptureFixture[str], *targets: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["plan", *targets, "--results", str(root), "--json"]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return entries


# --- configurations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        "model=mdeberta task=copa adapter=madx data_size=full schedule=fun seed=3",
        "model=mbert task=mnli adapter=madx data_size=1k schedule=gu seed=2",
        "model=xlmr task=squad adapter=madx data_size=full schedule=fixed7",
        "task=copa schedule=rev train.lr=1e-3 schedule.k=3 evaluate.languages=[] fisher.batches=3 seed=5",
        "seed=1 schedule=fun fisher=exact paper=fun_official task=mnli",
        "task=mlm lang=th model=mbert",
        "model=mdeberta task=mlm lang=sw train.updates=100",
    ],
)
def test_a_configuration_is_the_composed_one(overrides: str) -> None:
    typed = shlex.split(overrides)
    assert configuration(typed) == compose(typed)
    assert run_id(configuration(typed)) == run_id(compose(typed))


# --- the plan -------------------------------------------------------------------------------------------------


def test_every_run_of_the_paper_once_and_producers_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = plan(root, capsys, "fun")
    # By hand: 368 runs of the tables, LPFT in Figure 2 (2 models, 3 tasks, 4 seeds), nine fixed schedules in two
    # settings of Figure 4, 18 language adapters for mDeBERTa and 3 for mBERT.
    assert len(entries) == 368 + 2 * 3 * 4 + 9 * 2 * 4 + 18 + 3
    place = {entry["run_id"]: number for number, entry in enumerate(entries)}
    assert len(place) == len(entries)
    for entry in entries:
        assert all(place[producer] < place[entry["run_id"]] for producer in entry["producers"])
    assert {entry["state"] for entry in entries} == {"missing"}
    assert {entry["hours"] for entry in entries} == {None}
    italian = next(entry for entry in entries if "lang=it" in entry["command"])
    assert italian["command"] == "python -m fun.run task=mlm lang=it model=mbert"
    readers = [entry for entry in entries if italian["run_id"] in entry["producers"]]
    # By hand: mBERT with language adapters on COPA, alone tested in Italian: Table 1, and LPFT in Figure 2.
    assert len(readers) == 4 * 4 + 4
    assert all("model=mbert" in entry["command"] and "task=copa" in entry["command"] for entry in readers)
    assert set(italian["targets"]) == {target for reader in readers for target in reader["targets"]}


def test_a_run_that_two_targets_need_is_planned_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = plan(root, capsys, "demo", "miniature", "sweep=lr_k", "model=micro", "task=mnli", "schedule=gu",
                   "sweep.grid={schedule.k:[10,20],train.lr:[0.005]}", "sweep.seeds=[0,100]")  # fmt: skip
    assert len(entries) == 72 + 3  # by hand: k=20 and lr=0.005 are the published ones, and the demo is in miniature
    targets = Counter(target for entry in entries for target in entry["targets"])
    assert targets == {"demo": 6, "miniature": 72, "lr_k mnli-micro-madx-gu-full": 4}
    (shared,) = (entry for entry in entries if len(entry["targets"]) == 3)
    assert configuration(shlex.split(shared["command"])[3:]) == compose(["schedule=gu", "seed=0"])


def test_states_are_told_and_what_can_be_done(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUN_STALE_SECONDS", "1000")
    needed = KNOWN["miniature"].needed()[:9]
    configs = [configuration(run.overrides) for run in needed]
    runs = [run_folder(config, root) for config in configs]
    metrics: synthetic.Metrics = {}
    for dataset, language, metric in needed[0].values:
        metrics.setdefault(dataset, {}).setdefault(language, {})[metric] = 50.0
    for config in configs[:3]:
        synthetic.write_run(root, config, metrics, marks=())
    synthetic.remove_language(runs[1], "micronli", "l3")
    synthetic.alter_a_byte(runs[2])
    runs[3].begin().fail("method", "the loss was nan")
    runs[4].begin().fail("machine", "out of memory")
    runs[5].begin().interrupt("asked to end")
    running = runs[6].begin()
    queue(runs[7], local_job(os.getpid()))
    entries = {entry["run_id"]: entry for entry in plan(root, capsys, "miniature")}
    found = [entries[run.run_id] for run in runs]
    running.interrupt("")
    states = ["done", "done", "damaged", "failed", "failed", "stale", "running", "queued", "missing"]
    assert [entry["state"] for entry in found] == states
    assert [entry["missing"] for entry in found] == [False, True, True, True, True, True, False, False, True]
    for entry, reason in zip(found[1:6], ["l3", "checksum", "nan", "memory", "asked to end"], strict=True):
        assert reason in entry["reason"]
    assert main(["plan", "miniature", "--results", str(root), "--commands"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 72 - 2  # all but the one that is done and the queued one; the running one has ended
    assert sum(line.partition("  #")[0].endswith("force=true") for line in lines) == 1
    assert sum(line.partition("  #")[0].endswith("retry=true") for line in lines) == 1
    assert main(["plan", "miniature", "--results", str(root)]) == 0
    summary = capsys.readouterr().out
    assert "the loss was nan" in summary
    assert next(line for line in summary.splitlines() if line.startswith("miniature")).split()[1:9] == [
        "64", "1", "0", "2", "2", "1", "2", "1",
    ]  # fmt: skip


def test_where_the_scheduler_is_silent_no_job_is_said_to_be_gone(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(["task=copa"])
    queue(run_folder(config, root), "17_0")
    monkeypatch.setenv("PATH", str(root))  # no squeue
    for command in (["plan", "task=copa", "--json"], ["run", "task=copa", "--dry-run"], ["status", "task=copa"]):
        main([*command, "--results", str(root)])
        printed = capsys.readouterr()
        assert printed.err.startswith("jobs are not known, only heartbeats: squeue is not installed here")
        assert "no longer knows" not in printed.out
    (entry,) = plan(root, capsys, "task=copa")
    assert entry["state"] == "missing"
    assert "the scheduler was not asked" in entry["reason"]


def test_a_folder_without_a_record_says_nothing_against_one_with_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose(["task=copa"])
    done = synthetic.write_run(root, config, {}, marks=())
    older = done.path.with_name(f"an-older-label-{done.run_id}")
    queue(RunFolder(older, done.run_id), "17_0")
    assert [entry["state"] for entry in plan(root, capsys, "task=copa")] == ["done"]
    (older / "record.json").write_text("{}")
    assert [entry["state"] for entry in plan(root, capsys, "task=copa")] == ["damaged"]


def test_work_on_a_done_run_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ("task=copa", "evaluate.languages=[en,l1]")
    done = synthetic.write_run(root, compose(typed), {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    assert [(entry["state"], entry["missing"]) for entry in plan(root, capsys, *typed)] == [("done", True)]
    queue(done, local_job(os.getpid()))
    assert [(entry["state"], entry["missing"]) for entry in plan(root, capsys, *typed)] == [("queued", False)]
    done.begin(extend=True).fail("machine", "no space")
    (entry,) = plan(root, capsys, *typed)
    assert "without microcopa in l1; " in entry["reason"]
    assert "no space" in entry["reason"]


def test_a_sweep_is_done_when_all_that_was_typed_is_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.write_run(root, compose(["task=copa"]), {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    reasons = {
        ("task=copa", "evaluate.languages=[en]"): "",
        ("task=copa", "evaluate.languages=[en,l1,l2]"): "without microcopa in l1, l2",
        ("task=copa", "evaluate.languages=[en]", "track.fisher_every=5"): "without tr(F) along training",
    }
    for typed, reason in reasons.items():
        (entry,) = plan(root, capsys, *typed)
        assert (entry["reason"], entry["missing"]) == (reason, bool(reason))
        assert entry["command"] == f"python -m fun.run {shlex.join(typed)}"


def test_a_mark_that_the_run_asks_for_counts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who types data.nonstandard=true gets such records; no paper's table types it, and nobody gets made-up ones."""
    metrics = {
        "microcopa": {language: {"accuracy": 50.0} for language in ("en", *(f"l{number}" for number in range(1, 8)))}
    }
    for seed, marks in enumerate([("nonstandard",), ("nonstandard", "synthetic")]):
        config = compose(["task=copa", "data.nonstandard=true", f"seed={seed}"])
        synthetic.write_run(root, config, metrics, marks=marks)
    synthetic.write_run(root, compose(["task=copa"]), metrics, marks=("nonstandard",))
    asked, made_up = plan(root, capsys, "task=copa", "data.nonstandard=true", "seed=0,1")
    assert (asked["state"], asked["missing"]) == ("done", False)
    assert made_up["reason"] == "its record is marked synthetic and never enters a table"
    (unasked,) = plan(root, capsys, "task=copa")
    assert unasked["reason"] == "its record is marked nonstandard and never enters a table"


def test_folders_that_differ_are_damaged_in_status_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose(["task=copa"])
    synthetic.copy_with_other_values(
        synthetic.write_run(root, config, {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    )
    assert main(["status", "task=copa", "--results", str(root)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split() == ["task=copa", "·", "·", "·", "·", "·", "1", "·"]
    assert "several folders have this run_id, and they do not hold the same" in shown


def test_a_folder_that_cannot_be_read_is_named(cli: Cli) -> None:
    """Of two runs one lies in the folder of a colleague who lets nobody read it."""
    synthetic.write_run(cli.results, compose(["task=copa"]), {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    synthetic.write_run(cli.results, compose(["task=mnli"]), {"micronli": {"en": {"accuracy": 50.0}}}, marks=())
    closed = cli.results / "runs" / "copa"
    closed.chmod(0)
    unprivileged = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    try:
        for typed in (["status"], ["plan", "task=copa,mnli"], ["collect", "task=copa,mnli"], ["table", "miniature"]):
            command = [*unprivileged, sys.executable, "-m", "reproduce", *typed]
            told = waiting.run(command, ROOT, cli.environment())
            assert f"{closed}" in told.stdout + told.stderr, typed
            assert "cannot be read (Permission denied)" in told.stdout + told.stderr, typed
            assert "Traceback" not in told.stderr, told.stderr
        # A run of ours that is read may lie there: it is not taken for one that is missing.
        look = "import sys; from pathlib import Path; from fun.results import done_run; done_run(Path(sys.argv[1]), 'a', 'mlm')"
        told = waiting.run([*unprivileged, sys.executable, "-c", look, str(cli.results)], ROOT, cli.environment())
        assert f"Unreadable: {closed} cannot be read (Permission denied)" in told.stderr
    finally:
        closed.chmod(0o700)


def test_what_is_printed_can_be_pasted_whatever_the_path() -> None:
    """A value of Hydra's grammar, or like a number, is read back as the string that it is."""
    for source in ("folder:/a (b)/c", "folder:/it's", "folder:/a,b", "hub:a/b", "1e5", "null", "folder:/ä [x]\\"):
        printed = shlex.join([assignment("model.source", source)])
        (parsed,) = OverridesParser.create().parse_overrides(shlex.split(printed))
        assert parsed.value() == source


def test_a_run_is_known_by_its_id_whatever_its_label(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(["task=copa"])
    done = synthetic.write_run(root, config, {}, marks=())
    monkeypatch.setenv("FUN_RESULTS", str(root))
    older = done.path.rename(done.path.with_name(f"an-older-label-{done.run_id}"))
    assert (preview(config)["state"], preview(config)["folder"]) == ("done", str(older))
    RunFolder(done.path, done.run_id).begin().interrupt("by a version that did not know it")
    assert preview(config)["folder"] == str(older)
    assert Store(root).runs(config)[0].path == older


def test_the_log_of_an_attempt_that_works_aside_is_its_own(root: Path) -> None:
    done = synthetic.write_run(root, compose(["task=copa"]), {}, marks=())
    with done.begin(force=True) as attempt:
        attempt.metrics_log().append({"update": 1})
        assert done.attempt_log() == [{"update": 1}]
        attempt.interrupt("enough")


def test_hours_come_from_finished_runs_of_the_same_shape(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def finish(overrides: list[str], train: float, fisher: float, evaluate: float, marks: tuple[str, ...] = ()) -> None:
        config = configuration(overrides)
        run = run_folder(config, root)
        metrics = {"microcopa": {"en": {"accuracy": 50.0}, "l1": {"accuracy": 50.0}}}
        timing = {"train_seconds": train, "fisher_seconds": fisher, "evaluate_seconds": evaluate}
        with run.begin() as attempt:
            body = synthetic.body(config, metrics, marks)
            attempt.finish(body | {"timing": {**timing, "examples_per_second": 1.0}})

    copa = ["model=micro", "task=copa", "adapter=madx", "data_size=full"]
    finish([*copa, "schedule=gu", "seed=7"], train=120.0, fisher=0.0, evaluate=20.0)
    finish([*copa, "schedule=fun", "seed=7"], train=180.0, fisher=60.0, evaluate=40.0)
    finish([*copa, "schedule=gu", "seed=8"], train=9e9, fisher=9e9, evaluate=9e9, marks=("synthetic",))
    finish([*copa[:2], "adapter=lora", "schedule=gu", "seed=9"], train=9e9, fisher=0.0, evaluate=9e9)
    entries = plan(root, capsys, "miniature")
    by_task = {task: [e["hours"] for e in entries if f"task={task}" in e["command"]] for task in ("copa", "mnli")}
    # By hand: (120 + 240) / 2 seconds for 120 updates, and (20 + 40) / 2 for two languages, of which there are eight.
    assert by_task["copa"] == pytest.approx([(180 + 15 * 8) / 3600] * 24)
    assert by_task["mnli"] == [None] * 24
    twice = plan(root, capsys, "sweep=lr_k", *copa, "schedule=std", "train.updates=240", "sweep.keep={train.lr:[]}")
    # Twice as many updates, and no test.
    assert [entry["hours"] for entry in twice] == pytest.approx([360 / 3600] * 16)


def test_a_table_lists_what_makes_language_adapters_before_what_reads_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root.mkdir()
    assert main(["table", "table1", "--results", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands, sweeps = (
        lines[lines.index("Missing runs, one command each:") :],
        lines[lines.index("The same as sweeps:") :],
    )
    made = [f"python -m fun.run task=mlm lang={language} model=mbert" for language in ("it", "ta", "th")]
    assert sorted(commands[1:4]) == made
    assert sweeps[1] == "python -m fun.run -m task=mlm lang=th,it,ta model=mbert"


def test_no_model_is_loaded() -> None:
    code = "import sys; from reproduce.__main__ import main; main(sys.argv[1:]); assert not {'torch', 'transformers'} & set(sys.modules)"
    command = [sys.executable, "-c", code, "plan", "table16", "miniature"]
    done = waiting.run(command, ROOT)
    assert done.returncode == 0, done.stderr
    assert "all, each once" in done.stdout


def test_a_sweep_is_a_target_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = plan(root, capsys, "schedule=gu,rand", "seed=0,1,2")
    assert [entry["targets"] for entry in entries] == [["schedule=gu,rand seed=0,1,2"]] * 6


@pytest.mark.parametrize(
    ("target", "named"),
    [("nothing", "table1"), ("sweep=nothing", "lr_k"), ("schedule=gu,nothing", "rand"), ("seed=0,,1", "seed=0,,1")],
)
def test_a_mistyped_target(target: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", target]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert named in error


# --- a crowd ----------------------------------------------------------------------------------------------------

CROWD = """
import os, sys
from pathlib import Path
from fun.results import AlreadyDone, Busy, RunFolder, run_id_of

root, runs, own = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def body(name, identity):
    return {
        "semantics": 2, "label": name, "identity": identity, "config": {}, "inputs": {}, "kind": "training",
        "evaluations": {"microcopa": {"l1": {"keys": {}, "metrics": {"accuracy": 50.0}}}}, "validation": [],
        "selected": {"update": 1, "metric": "accuracy", "value": 50.0}, "stages": [],
        "tracking": {"fisher_every": 0, "fisher": {}},
        "timing": dict.fromkeys(["train_seconds", "fisher_seconds", "evaluate_seconds", "examples_per_second"], 0),
        "peak_memory_bytes": 1, "environment": {"pid": os.getpid()}, "marks": ["synthetic"],
    }

def execute(name):
    identity = {"semantics": 2, "inputs": {}, "run": name}
    run = RunFolder(root / "runs" / "copa" / "micro" / f"{name}-{run_id_of(identity)}", run_id_of(identity))
    try:
        with run.begin() as attempt:
            attempt.write_bytes("predictions/microcopa.l1.parquet", name.encode())
            attempt.finish(body(name, identity))
            print(name, flush=True)
    except (AlreadyDone, Busy):
        pass

sys.stdin.readline()  # all begin at once
execute(f"own{own}")
for number in range(runs):
    execute(f"shared{number}")
"""


def crowd(root: Path, processes: int, runs: int) -> list[str]:
    """What so many processes executed, each a run of its own and all the shared ones that they could."""
    command = [sys.executable, "-c", CROWD, str(root), str(runs)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([*command, str(number)], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        for number in range(processes)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [waiting.ended(process) for process in started]
    assert not any(error for _, error in told), told
    return [line for out, _ in told for line in out.split()]


def check_crowd(root: Path, processes: int, runs: int) -> None:
    executed = Counter(crowd(root, processes, runs))
    names = {f"own{number}" for number in range(processes)} | {f"shared{number}" for number in range(runs)}
    assert executed == dict.fromkeys(names, 1)
    records = {run: run.record(verify_files=True) for run in recorded(root)}
    assert sorted(record.label for record in records.values()) == sorted(names)
    for run, record in records.items():
        assert record.attempt == 1
        assert [path.name for path in (run.path / "attempts").iterdir() if path.name.endswith(".staging")] == []


def test_many_processes_execute_each_run_once(root: Path) -> None:
    check_crowd(root, processes=6, runs=10)


@pytest.mark.long
def test_fifty_processes_execute_each_run_once(root: Path) -> None:
    check_crowd(root, processes=50, runs=40)


PLANNER = """
import sys
from pathlib import Path
from fun.results import RunFolder

sys.stdin.readline()
runs = [RunFolder(Path(path), Path(path).name.rpartition("-")[2]) for path in sys.argv[1:]]
print(*(run.run_id for run in runs if run.reserve(lambda job: True) is not None), flush=True)
sys.stdin.readline()  # the marks of a planner that has ended without a job do not stand
"""


def test_planners_at_the_same_time_reserve_each_run_once(root: Path) -> None:
    names = [f"{number:016x}" for number in range(60)]
    command = [sys.executable, "-c", PLANNER, *(str(root / "runs/copa/micro" / f"run-{name}") for name in names)]
    planners = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    reserved: Counter[str] = Counter()
    for planner in planners:
        assert planner.stdin is not None
        planner.stdin.write("\n")
        planner.stdin.flush()
    for planner in planners:
        assert planner.stdout is not None
        reserved.update(planner.stdout.readline().split())
    for planner in planners:
        planner.communicate("\n")
    assert reserved == dict.fromkeys(names, 1)
