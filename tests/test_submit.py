"""What is submitted and what is not, without SLURM: held runs, arrays, the local profile."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fun.errors import ConfigError, RunError
from fun.inputs import run_folder
from fun.results import JobKnown, Phase, RunFolder, State
from reproduce.__main__ import main
from reproduce.declare.parts import Needed
from reproduce.runs.plan import Entry, plan, waves
from reproduce.runs.store import Absent, Store, configuration, producers
from reproduce.start.cluster import Profile, Submission, summary
from reproduce.start.job import Job
from reproduce.start.jobs import Jobs, SchedulerError
from tests.cluster import ClusterCli
from tests.conftest import ROOT, Cli, everybody, metrics_of, nobody, queue, told
from tests.synthetic import fail, write_run
from tests.waiting import until

COPA = ("model=micro", "task=copa", "schedule=std", "train.updates=20")


# --- what may start ---


def planned(
    root: Path, needed: Sequence[Needed], jobs: JobKnown | None = None, *, retry: bool = False
) -> tuple[list[Entry], dict[RunFolder, str]]:
    """The runs that may start or are under way, in their order; and those that are held back, with the reason."""
    entries = plan({"": needed}, Store(root), jobs, retry=retry)
    return [entry for entry in entries if entry.wanted], {entry.run: entry.held for entry in entries if entry.held}


def test_what_failed_is_held_back_until_it_is_asked_for(tmp_path: Path) -> None:
    seeds = [Needed((*COPA, f"seed={seed}")) for seed in range(4)]
    method = fail(seeds[0], tmp_path, lambda: RunError("the loss is nan"))
    often = fail(seeds[1], tmp_path, lambda: OSError("no space"), times=3)
    fail(seeds[2], tmp_path, lambda: OSError("no space"), times=2)
    wanted, held = planned(tmp_path, seeds)
    assert [entry.needed.arguments[-1] for entry in wanted] == ["seed=2", "seed=3"]
    assert set(held) == {method, often}
    assert "the loss is nan" in held[method]
    assert "failed 3 times in a row" in held[often]
    wanted, _ = planned(tmp_path, seeds, retry=True)
    assert [entry.typed[-1] for entry in wanted] == ["retry=true", "retry=true", "retry=true", "seed=3"]


def test_a_done_run_that_could_not_be_completed_is_held_back(tmp_path: Path) -> None:
    needed = Needed(COPA, fisher_every=5)
    done = write_run(tmp_path, configuration(COPA), {}, marks=())
    assert len(planned(tmp_path, [needed])[0]) == 1
    with pytest.raises(RunError), done.begin(force=True):
        raise RunError("the repeated training differs")
    assert "the repeated training differs" in planned(tmp_path, [needed])[1][done]
    assert len(planned(tmp_path, [needed], retry=True)[0]) == 1
    assert "done, its completion failed" in told(done)
    assert "the repeated training differs" in told(done)


def test_jobs_that_end_before_they_begin_a_run_are_told_and_bounded(tmp_path: Path) -> None:
    config = configuration(COPA)
    run = run_folder(config, tmp_path)
    jobs = tmp_path / "jobs" / "2026-11-20"
    jobs.mkdir(parents=True)
    for number in (17, 18, 19):
        queue(run, f"{number}_0")
        # 17_0 might have been cancelled before it started
        assert len(planned(tmp_path, [Needed(COPA)])[0]) == 1
        (jobs / f"{number}_0_0_log.err").write_text(f"error: no CUDA in job {number}\n")
    held = planned(tmp_path, [Needed(COPA)])[1][run]
    assert held.startswith("3 jobs in a row ended before they could begin it; the log of the last: ")
    assert held.endswith("19_0_0_log.err")
    assert "error: no CUDA in job 19" in told(run)
    assert len(planned(tmp_path, [Needed(COPA)], retry=True)[0]) == 1
    run.begin().fail("machine", "no space")
    assert len(planned(tmp_path, [Needed(COPA)])[0]) == 1  # it has begun: these jobs count no more


def test_runs_that_a_job_did_not_come_to_are_not_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs share a job that is cancelled three times during the first."""
    runs = [Needed((*COPA, f"seed={seed}")) for seed in (0, 1)]
    folders = [run_folder(one, tmp_path) for one in (configuration(run.overrides) for run in runs)]
    (tmp_path / "jobs" / "today").mkdir(parents=True)
    for job in ("17", "18", "19"):
        (tmp_path / "jobs" / "today" / f"{job}_0_log.err").touch()
        monkeypatch.setenv("SLURM_JOB_ID", job)
        for folder in folders:
            queue(folder, job)
            folder.note(Phase.STARTED)
        folders[0].note(Phase.BEGUN)
    assert list(planned(tmp_path, runs, nobody)[1]) == folders[:1]
    # what somebody has in hand is not held back either
    assert planned(tmp_path, runs, everybody)[1] == {}


def test_a_job_that_comes_back_leaves_what_it_gave_up(tmp_path: Path) -> None:
    folder = fail(Needed(COPA), tmp_path, lambda: OSError("no space"), times=3)
    job = Job(tmp_path)
    (given_up,) = plan({"": [Needed(COPA)]}, Store(tmp_path))
    with pytest.raises(RunError, match="no space"):
        job([given_up])
    assert folder.latest.number == 3
    ((asked,), _) = planned(tmp_path, [Needed(COPA)], retry=True)
    assert asked.asked_again


def test_what_is_retried_is_retried_once(tmp_path: Path) -> None:
    folder = fail(Needed(COPA), tmp_path, lambda: RunError("the loss is nan"))
    ((entry,), _) = planned(tmp_path, [Needed(COPA)], retry=True)
    assert entry.typed == (*COPA, "retry=true")
    with folder.begin(retry=True) as attempt:
        attempt.fail("method", "the loss is nan, again")
    assert entry.typed == COPA  # which is refused: the job may come back as often as it likes


def test_a_run_of_two_targets_is_started_for_all_that_either_needs(tmp_path: Path) -> None:
    tuned, tested = (*COPA, "evaluate.languages=[]"), COPA
    needed = [Needed(tuned), Needed(tested, (("microcopa", "l1", "accuracy"),), fisher_every=5)]
    ((entry,), _) = planned(tmp_path, needed)
    assert entry.needed.arguments == (*COPA, "track.fisher_every=5")


def test_producers_come_first_and_once(tmp_path: Path) -> None:
    trained = (*COPA, "language_adapters.l1=train", "language_adapters.l2=train")
    runs = [Needed((*trained, f"seed={seed}")) for seed in (0, 1)]
    made = producers(configuration(runs[0].overrides))
    assert [run.overrides for run in made] == [
        ("task=mlm", f"lang={language}", "model=micro") for language in ("l1", "l2")
    ]
    wanted, _ = planned(tmp_path, runs)
    assert [entry.run.path.name.split("-")[0] for entry in wanted] == ["l1", "l2", "madx", "madx"]
    makers = tuple(entry.run for entry in wanted[:2])
    assert [entry.producers for entry in wanted] == [(), (), makers, makers]
    assert [len(wave) for wave in waves(wanted)] == [2, 2]


def test_without_the_source_language_adapter_a_run_is_held_back(tmp_path: Path) -> None:
    runs = [Needed((*COPA, "language_adapters.en=train", "language_adapters.l1=train"))]
    made = producers(configuration(runs[0].overrides))
    maker = fail(made[0], tmp_path, lambda: RunError("the loss is nan"))
    _, held = planned(tmp_path, runs)
    assert [reason for run, reason in held.items() if run.path.name.startswith("madx")] == [
        f"the language adapter of en that it reads cannot be made: {maker} is held back"
    ]


def test_a_done_run_is_submitted_for_a_language_only_while_its_adapter_may_come(tmp_path: Path) -> None:
    own = ("evaluate.languages=[en,l1,l2]", "language_adapters.l1=train", "language_adapters.l2=null")
    values = tuple(("microcopa", language, "accuracy") for language in ("en", "l1", "l2"))
    needed = Needed((*COPA, *own), values)
    config = configuration(needed.overrides)
    folder = write_run(tmp_path, config, {"microcopa": {"en": {"accuracy": 50.0}}}, marks=())
    (maker,) = producers(config)
    making, reading = planned(tmp_path, [needed])[0]
    assert [making.needed.arguments, reading.needed.arguments] == [maker.overrides, needed.overrides]
    assert reading.producers == (making.run,)
    fail(maker, tmp_path, lambda: RunError("the loss is nan"))
    wanted, held = planned(tmp_path, [needed])
    assert (wanted, list(held)) == ([], [making.run])
    (gap,) = [entry for entry in plan({"": [needed]}, Store(tmp_path)) if entry.gap]
    assert (gap.run, gap.reason) == (folder, "without microcopa in l1, l2")


# --- arrays ---


def entry(tmp_path: Path, number: int, *producers: RunFolder) -> Entry:
    run = RunFolder(tmp_path / f"gu-{number:016d}", f"{number:016d}")
    return Entry(Needed((f"seed={number}",)), run, Absent(State.MISSING), run.status(), producers=producers)


def test_a_dry_run_shows_the_scripts(tmp_path: Path) -> None:
    profiles = [Profile.load("a100", ["account=nlp", "timeout_min=90"]), Profile.load("v100")]
    makers = [entry(tmp_path, number) for number in (100, 101)]
    readers = [entry(tmp_path, number, *(maker.run for maker in makers)) for number in range(5)]
    submission = Submission(tmp_path, profiles, runs_per_job=2, job_known=nobody)
    shown = [(array.profile.name, [len(part) for part in array.parts], array.script())
             for array in submission.arrays([*makers, *readers], look_only=True)]  # fmt: skip
    assert [(name, sizes) for name, sizes, _ in shown] == [("a100", [2]), ("a100", [2, 1]), ("v100", [2])]
    assert all(f"#SBATCH --{line}\n" in shown[1][2] for line in (
        "account=nlp", "time=90", "array=0-1%2", "requeue", "signal=USR2@300", "dependency=afterany:PRODUCERS",
        "gres=gpu:a100:1"))  # fmt: skip
    assert "dependency" not in shown[0][2]
    assert "gres=gpu:v100:1" in shown[2][2]
    assert not (tmp_path / "jobs").exists()


def test_wrong_profiles_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="valid profiles: a100, v100, local"):
        Profile.load("h100")
    with pytest.raises(ConfigError, match=r"^profile a100: .*partitoin"):
        Profile.load("a100", ["partitoin=x"])
    with pytest.raises(ConfigError, match="timeout_min=5 with signal_delay_s=300"):
        Profile.load("a100", ["timeout_min=5"])


def test_a_nested_setting_can_be_typed() -> None:
    profile = Profile.load("a100", ["additional_parameters.requeue=false"])
    assert profile.settings["additional_parameters"] == {"requeue": False}


def test_without_slurm_a_dry_run_says_so_and_shows_the_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (Needed((*COPA, f"seed={seed}")) for seed in (0, 1))
    config = configuration(first.overrides)
    queue(run_folder(config, tmp_path), "17_0")
    fail(second, tmp_path, lambda: RunError("the loss is nan"))
    for program in ("squeue", "sbatch"):
        monkeypatch.setenv(
            "PATH", os.pathsep.join(p for p in os.environ["PATH"].split(":") if not (Path(p) / program).exists())
        )
    typed = ["submit", *COPA, "seed=0,1", "--profile", "a100", "--dry-run", "--results", str(tmp_path)]
    assert main(typed) == 1
    printed = capsys.readouterr()
    assert "squeue is not installed here" in printed.err
    assert "#SBATCH --requeue" in printed.out
    assert "held back: " in printed.out.splitlines()[-1]


def test_cancel_leaves_jobs_that_only_serve_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("squeue", "echo 17"), ("scancel", f'echo "$@" >> {tmp_path}/cancelled')):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    folders = [
        run_folder(config, tmp_path) for config in (configuration((*COPA, f"seed={seed}")) for seed in (0, 1, 2))
    ]
    for folder in folders:
        queue(folder, "17")  # three runs that share a job
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    write_run(tmp_path, configuration((*COPA, "seed=0")), {}, marks=())
    assert main(["cancel", *COPA, "seed=0", "--results", str(tmp_path)]) == 0
    assert not (tmp_path / "cancelled").exists()
    assert main(["cancel", *COPA, "seed=1", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "cancelled").read_text() == "17\n"
    assert capsys.readouterr().out.splitlines() == [
        "no job of these targets waits or runs",
        "cancelled 1 jobs of 1 runs; what they saved stays",
        f"these jobs were to run it too: {folders[2].path.name}; submit its target again",
    ]


def test_ctrl_c_does_not_lose_a_submitted_job(tmp_path: Path) -> None:
    """The terminal tells sbatch too, which has submitted the job and has not said so yet."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f"touch {tmp_path}/accepted; sleep 2; echo Submitted batch job 41"
    for name, body in (("sbatch", script), ("srun", ""), ("squeue", "echo 41")):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "reproduce", "submit", *COPA, "--profile", "a100", "--results", str(results)]
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    planner = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    until((tmp_path / "accepted").exists, "sbatch runs")
    os.killpg(planner.pid, signal.SIGINT)
    until(lambda: planner.poll() is not None, "the planner has ended")
    assert planner.returncode == 0
    config = configuration(COPA)
    reservation = run_folder(config, results).reservation()
    assert reservation is not None
    assert reservation.job == "41"


def test_a_surrounding_job_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM's programs see which cluster is meant, and nothing else of what a session or a shell has exported."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, says in (("sbatch", "Submitted batch job 41"), ("srun", ""), ("squeue", "41")):
        (programs / name).write_text(f"#!/bin/sh\nenv > {tmp_path}/{name}\necho {says}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", "/etc/ours.conf")
    for variable in ("SLURM_MEM_PER_CPU", "SLURM_JOB_ID", "SBATCH_TIMELIMIT", "SQUEUE_STATES", "SUBMITIT_EXECUTOR"):
        monkeypatch.setenv(variable, "7")
    typed = ["submit", *COPA, "--profile", "a100", "--results", str(tmp_path / "results")]
    assert main(typed) == main(typed) == 0
    for name in ("sbatch", "squeue"):
        seen = {line.partition("=")[0] for line in (tmp_path / name).read_text().splitlines()}
        assert {variable for variable in seen if variable.startswith(("SLURM", "SBATCH", "SQUEUE", "SUBMITIT"))} == {
            "SLURM_CONF"
        }
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_names_of_jobs() -> None:
    assert summary(["17_0", "17_1", "17_2", "18"]) == "17_[0-2], 18"


def test_a_refused_submission_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no srun
    submission = Submission(tmp_path, [Profile.load("a100")], runs_per_job=None, job_known=nobody)
    refused = entry(tmp_path, 1)
    with pytest.raises(SchedulerError, match="--profile local"):
        list(submission.submit([refused]))
    assert refused.run.reserve(everybody) is not None


# --- this machine as a cluster ---


@pytest.mark.long
def test_the_local_profile(tmp_path: Path) -> None:
    there = ClusterCli(tmp_path / "results")
    assert "submitted 1 run," in there.submit("one", profile="local")
    assert "submitted 0 runs, under way 1" in there.submit("one", profile="local")
    pid, update = there.frozen_at(7), there.update()
    try:
        shown = there.reproduce("status").splitlines()
        there.reproduce("cancel", "one")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert shown[1].split() == ["copa/micro", "·", "·", "1", "·", "·", "·", "·"]
    assert re.search(rf"madx-fun-k2\S+ +local:\S+ +\S+ +{update}/36 ", shown[4])
    run = RunFolder(there.folder(), there.folder().name.rpartition("-")[2])
    until(lambda: run.status().state is State.STALE, "the cancelled run has ended")
    assert "asked to end by SIGTERM" in run.status().detail
    until(lambda: not run.under_way(Jobs()), "the cancelled job has ended")
    assert "submitted 1 run," in there.submit("one", profile="local")
    until(there.records, "the run is done")


@pytest.mark.long
def test_a_failing_job_of_hydras_local_launcher_is_named(tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("raise ImportError('not the library')\n")  # which no job may import
    cli = Cli(tmp_path / "results", cwd=tmp_path)
    typed = (
        "task=copa",
        "schedule=std",
        "train.updates=4",
        "train.eval_every=4",
        "train.batch_size=8",
        "evaluate.languages=[en]",
    )
    swept = cli("-m", "hydra/launcher=local", *typed, "train.lr=1e-4,1e30", status=1)
    [record] = cli.records().values()
    folder = cli.results / "runs" / "copa" / "micro" / f"{record['label']}-{record['run_id']}"
    score = metrics_of(record)["microcopa"]["en"]["accuracy"]
    why, done, failed = swept.stderr.splitlines()[-3:]
    assert "Traceback" not in swept.stderr
    assert why.startswith("error: update 2: the loss is nan")
    assert done == f"{folder}  microcopa accuracy: en {score:.1f}"
    assert failed == f"error: 1 jobs of the sweep failed: {' '.join(typed)} train.lr=1e+30"
