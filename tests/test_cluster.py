"""The real SLURM: submit once, survive every fault bit-identically, tell the truth."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import SETTINGS, Cluster, ClusterCli, asked_to_end, fill, gone, running_cluster, small_disk
from tests.conftest import ROOT, Cli, metrics_of, outcome
from tests.waiting import ended, until

RUN = ("model=micro", "task=copa", "train.updates=36", "train.eval_every=12", "train.batch_size=8", "fisher.batches=2",
       "checkpoint.every=5", "evaluate.languages=[en,l1]", "schedule=fun", "schedule.k=2", "seed=0")  # fmt: skip
"""The run of target `one` (tests/data/cluster)."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Label -> outcome of the runs of target `four` on this machine, without SLURM."""
    cli = Cli(tmp_path_factory.mktemp("local") / "results")
    shared = [item for item in RUN if not item.startswith(("schedule=", "seed="))]
    cli("-m", *shared, "schedule=gu,fun", "seed=0,1")
    return {record["label"]: outcome(record) for record in cli.records().values()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the run of target `one`, without SLURM."""
    cli = Cli(tmp_path_factory.mktemp("undisturbed") / "results")
    cli(*RUN)
    (record,) = cli.records().values()
    return outcome(record)


@pytest.fixture
def there(cluster: Cluster, tmp_path: Path) -> Iterator[ClusterCli]:
    yield ClusterCli(tmp_path / "results", variables=cluster.environment)
    cluster.tidy()


def assert_done(there: ClusterCli, cluster: Cluster, undisturbed: dict[str, Any], attempts: int) -> None:
    """The run ends done as if nothing had happened, after so many attempts, and its job is gone."""
    record = until(lambda: list(there.records().values()), lambda: f"the run is done; {cluster.log()}")[0]
    until(lambda: not cluster.jobs(), lambda: f"no job is left; {cluster.log()}")
    assert outcome(record) == undisturbed
    assert record["attempt"] == attempts
    assert "submitted 0 runs, under way 0, done 1" in there.submit("one")


def test_two_planners_submit_each_run_once(cluster: Cluster, there: ClusterCli) -> None:
    cluster("scontrol", "update", "partition=a100", "state=down")  # so that the jobs wait
    try:
        planners = [there.start("submit", "four", "--profile", "a100", module="tests.cluster") for _ in range(2)]
        told = [planner.communicate() for planner in planners]
        submitted = [re.search(r"^submitted (\d+) runs?, under way (\d+)", out, re.MULTILINE) for out, _ in told]
        assert sum(int(found[1]) for found in submitted if found) == 4, told
        assert len(cluster.jobs()) == 4
        assert there.reproduce("status", "four").splitlines()[1].split() == ["four", "·", "4", "·", "·", "·", "·", "·"]
        assert "cancelled 4 jobs of 4 runs" in there.reproduce("cancel", "four")
        until(lambda: not cluster.jobs(), "the jobs are cancelled")
    finally:
        cluster("scontrol", "update", "partition=a100", "state=up")


def test_a_requeued_run_goes_on_from_its_last_update(
    cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]
) -> None:
    there.submit("one")
    pid, update = there.frozen_at(7), there.update()
    cluster("scontrol", "requeue", *cluster.jobs())
    asked_to_end(pid, signal.SIGTERM)
    assert_done(there, cluster, undisturbed, attempts=2)
    assert there.ends() == ["asked to end by SIGTERM", "done"]
    assert there.resumed()[1] in (update, update + 1)  # it was saved when it was asked to end


@pytest.mark.long
def test_a_plain_batch_script_survives(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    script = ROOT / "slurm" / "run.sbatch"
    typed = [
        "--cpus-per-task=1",
        "--mem=1G",
        "--output=/dev/null",
        f"--export=ALL,PATH={Path(sys.executable).parent}:{os.environ['PATH']}",
    ]
    subprocess.run(["sbatch", *typed, script, *RUN], env=there.environment(), cwd=ROOT, check=True, capture_output=True)
    pid, update = there.frozen_at(7), there.update()
    cluster("scancel", "--signal=USR2", *cluster.jobs())  # as the approaching time limit does
    asked_to_end(pid, signal.SIGUSR2)
    assert_done(there, cluster, undisturbed, attempts=2)
    assert there.resumed()[1] in (update, update + 1)


@pytest.mark.long
def test_hydras_own_launcher(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    typed = [f"hydra.launcher.{setting}" for setting in SETTINGS]
    sweep = there.start("-m", "hydra/launcher=slurm_a100", *typed, *RUN)
    until(lambda: list(there.results.glob("runs/*/*/*/metrics.jsonl")), lambda: f"the job began; {cluster.log()}")
    cluster("scancel", "--signal=USR2", *cluster.jobs())
    _, error = ended(sweep)
    assert sweep.returncode == 0, error
    assert [outcome(record) for record in there.records().values()] == [undisturbed]


def preempt(cluster: Cluster, node: str) -> None:
    """A job that takes the whole node from all others, and ends."""
    cluster("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=true")


def limit(cluster: Cluster, pid: int, job: str) -> None:
    """A run that is stopped gets a time limit of a minute; it is told before its end, and its job gets time again."""
    cluster("scontrol", "update", f"jobid={job}", "timelimit=1")
    asked_to_end(pid, signal.SIGUSR2)
    until(lambda: gone(pid), "the run has ended")
    cluster("scontrol", "update", f"jobid={job}", "timelimit=30", check=False)  # unless it is done already


def lose(cluster: Cluster, node: str) -> None:
    """SLURM gives a node up, and gets it back once nothing runs there any more."""
    cluster("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    # Else it starts a job again beside its own remains, which drains the node and holds the job.
    until(lambda: not cluster.steps(node), f"the steps on {node} have ended")
    cluster("scontrol", "update", f"nodename={node}", "state=resume")


# --- what takes longer: each fault, all of them, counts, chaos ---


@pytest.mark.long
def test_every_fault_at_once(cluster: Cluster, there: ClusterCli, local: dict[str, Any]) -> None:
    """Four runs on two nodes, stopped so that what is done to them meets them in training."""
    with small_disk(there.results):
        assert "submitted 4 runs" in there.submit("four", profile="a100,v100")
        pids = {label: there.frozen_at(7, name=label) for label in local}
        assert "submitted 0 runs, under way 4" in there.submit("four")
        killed, requeued = on_node(cluster, there, "a100n")
        preempted, also_preempted = on_node(cluster, there, "v100n")
        saved = {label: (there.update(label), there.update(label) + 1) for label in local}

        os.kill(pids[killed], signal.SIGKILL)
        cluster("scontrol", "requeue", there.job(requeued))
        asked_to_end(pids[requeued], signal.SIGTERM)
        preempt(cluster, "v100n")
        asked_to_end(pids[preempted], signal.SIGUSR2)
        asked_to_end(pids[also_preempted], signal.SIGUSR2)

        pids = {label: there.frozen_at(16, attempt=2, name=label) for label in local}
        filler = fill(there.results)
        os.kill(pids[preempted], signal.SIGCONT)
        until(lambda: gone(pids[preempted]), "the run failed on the full disk")
        filler.unlink()
        limit(cluster, there.frozen_at(25, attempt=3, name=preempted), there.job(preempted))
        lose(cluster, "a100n")
        cluster.end_daemon("slurmctld")
        os.kill(pids[also_preempted], signal.SIGCONT)
        until(lambda: there.ends(also_preempted)[1:], "the run is done without a controller")
        cluster.control("slurmctld")

        until(lambda: len(there.records()) == 4, lambda: f"four runs are done; {cluster.log()}")
        until(lambda: not cluster.jobs(), lambda: f"no job is left; {cluster.log()}")
        records = {record["label"]: record for record in there.records().values()}
        assert {label: outcome(record) for label, record in records.items()} == local
        assert (records[preempted]["attempt"], records[also_preempted]["attempt"]) == (4, 2)
        assert there.ends(preempted)[-2:] == ["asked to end by SIGUSR2", "done"]  # by its time limit
        assert there.resumed(preempted)[-1] >= 25
        assert there.ends(requeued)[0] == "asked to end by SIGTERM"
        assert there.ends(also_preempted) == ["asked to end by SIGUSR2", "done"]
        for label in (requeued, preempted, also_preempted):
            assert there.resumed(label)[1] in saved[label]  # it was saved when it was asked to end
        assert all(record["environment"]["slurm_job"] for record in records.values())
        assert "submitted 0 runs, under way 0, done 4" in there.submit("four")


def on_node(cluster: Cluster, there: ClusterCli, node: str) -> list[str]:
    """The labels of the runs that run there."""
    jobs = cluster("squeue", "--noheader", "--array", "--states=running", f"--nodelist={node}", "--format=%i").split()
    folders = there.results.glob("runs/*/*/*")
    return [label for label in sorted(folder.name.rpartition("-")[0] for folder in folders) if there.job(label) in jobs]


@pytest.mark.long
def test_a_killed_run_comes_back(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    os.kill(there.frozen_at(7), signal.SIGKILL)
    assert_done(there, cluster, undisturbed, attempts=2)


@pytest.mark.long
def test_a_preempted_run_goes_on_from_its_last_update(
    cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]
) -> None:
    there.submit("one", profile="v100")
    pid = there.frozen_at(7)
    preempt(cluster, "v100n")
    asked_to_end(pid, signal.SIGUSR2)
    assert_done(there, cluster, undisturbed, attempts=2)
    assert there.ends() == ["asked to end by SIGUSR2", "done"]


@pytest.mark.long
def test_a_run_outlives_the_controller(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    pid = there.frozen_at(7)
    cluster.end_daemon("slurmctld")
    os.kill(pid, signal.SIGCONT)
    until(there.records, "the run is done without a controller")
    cluster.control("slurmctld")
    assert_done(there, cluster, undisturbed, attempts=1)


@pytest.mark.long
def test_a_run_of_a_lost_node_is_taken_over(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    pid = there.frozen_at(7)
    lose(cluster, "a100n")
    until(there.records, lambda: f"the run is done; {cluster.log()}")
    if not gone(pid):
        os.kill(pid, signal.SIGCONT)  # the lost node's process still lives: it is superseded
    assert_done(there, cluster, undisturbed, attempts=2)


@pytest.mark.long
def test_a_full_disk(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    with small_disk(there.results):
        there.submit("one")
        pid = there.frozen_at(7)
        filler = fill(there.results)
        os.kill(pid, signal.SIGCONT)
        until(lambda: gone(pid), "the run failed on the full disk")
        filler.unlink()
        assert_done(there, cluster, undisturbed, attempts=2)


@pytest.mark.long
def test_what_fails_by_its_method_is_told_and_not_tried_again(cluster: Cluster, there: ClusterCli) -> None:
    assert "submitted 2 runs in 1 job on a100" in there.submit("diverging", "--runs-per-job", "2")
    until(lambda: not cluster.jobs(), lambda: f"the job has ended; {cluster.log()}")
    assert len(there.records()) == 1
    told = there.reproduce("status", "diverging")
    assert told.splitlines()[1].split() == ["diverging", "·", "·", "·", "·", "1", "·", "1"]
    assert "the loss is" in told
    log = Path(re.search(r"log: (\S+)", told)[1])  # type: ignore[index]
    assert "Type a smaller train.lr" in log.read_text()
    assert "held back: madx-std-full-s0" in there.submit("diverging", status=1)
    assert "1 of 2 runs are done and as they were written" in there.reproduce("collect", "diverging")
    assert (there.results / "tables" / "fun" / "diverging.csv").is_file()
    typed = [part for setting in SETTINGS for part in ("--set", setting)]
    retried = there.reproduce("retry", "diverging", "--profile", "a100", *typed)
    assert "submitted 1 run in 1 job" in retried
    assert "cancelled 1 jobs of 1 runs" in there.reproduce("cancel", "diverging")
    until(lambda: not cluster.jobs(), "the job is cancelled")


@pytest.mark.long
def test_a_time_limit(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    pid = there.frozen_at(7)
    (job,) = cluster.jobs()
    spent = cluster("squeue", "--noheader", f"--jobs={job}", "--format=%M").strip()  # [hours:]minutes:seconds
    limited = ("scontrol", "update", f"jobid={job}")
    cluster(*limited, f"timelimit={int(spent.split(':')[-2]) + 2}")
    asked_to_end(pid, signal.SIGUSR2)
    cluster(*limited, "timelimit=30")  # on a slow machine the rest takes long
    assert_done(there, cluster, undisturbed, attempts=2)
    assert there.ends() == ["asked to end by SIGUSR2", "done"]


@pytest.mark.long
def test_a_killed_job_comes_back(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    pid = there.frozen_at(7)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert_done(there, cluster, undisturbed, attempts=2)


@pytest.mark.long
def test_a_node_that_falls_silent(cluster: Cluster, there: ClusterCli, undisturbed: dict[str, Any]) -> None:
    there.submit("one")
    pid = there.frozen_at(7)
    cluster.end_daemon("slurmd.a100n", signal.SIGKILL)
    until(lambda: "down" in cluster("sinfo", "--noheader", "--nodes=a100n", "--format=%t"), "the node is down")
    cluster.control("slurmd", "a100n")
    until(there.records, lambda: f"the run is done; {cluster.log()}")
    if not gone(pid):
        os.kill(pid, signal.SIGCONT)
    assert_done(there, cluster, undisturbed, attempts=2)


@pytest.mark.long
def test_producers_run_before_those_that_read_them(cluster: Cluster, there: ClusterCli) -> None:
    shown = there.submit("trained")
    assert "after" in shown.splitlines()[1]
    assert "submitted 0 runs, under way 2" in there.submit("trained")
    until(lambda: len(there.records()) == 2, lambda: f"both are done; {cluster.log()}")
    maker, reader = sorted(there.records().values(), key=lambda record: record["label"])
    assert maker["identity"]["task"] == "mlm"
    assert reader["evaluations"]["microcopa"]["l1"]["keys"]["language_adapter"] == f"run:{maker['run_id']}"
    assert set(metrics_of(reader)["microcopa"]) == {"en", "l1"}
    assert "submitted 0 runs, under way 0, done 2" in there.submit("trained")


FAULTS = (
    "kill a run",
    "requeue a job",
    "preempt a node",
    "restart the controller",
    "take a node down and up",
    "fill the disk",
    "give a job a minute",
)
"""Each at least once, in an order of their own for each number; as many again by chance."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Label -> outcome of the runs of target `chaos`, without SLURM."""
    cli = Cli(tmp_path_factory.mktemp("calm") / "results")
    longer = ("train.updates=800", "train.eval_every=100", "checkpoint.every=20", "schedule.k=20")
    names = {item.partition("=")[0] for item in longer} | {"schedule", "seed"}
    shared = [item for item in RUN if item.partition("=")[0] not in names]
    cli("-m", *shared, *longer, "schedule=gu,fun", "seed=0,1")
    return {record["label"]: outcome(record) for record in cli.records().values()}


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
def test_chaos(cluster: Cluster, there: ClusterCli, calm: dict[str, Any], number: int) -> None:
    dice = random.Random(number)
    # The fault that takes a minute comes last of them, since all others would be done by then.
    faults = [*dice.sample(FAULTS[:-1], len(FAULTS) - 1), FAULTS[-1], *dice.choices(FAULTS, k=len(FAULTS))]
    with small_disk(there.results):
        there.submit("chaos", profile="a100,v100")
        for injected, fault in enumerate(faults, start=1):
            come_to_life(cluster, there, calm)
            if not left(there, calm):
                assert injected > len(FAULTS), "each fault met them"
                break
            time.sleep(dice.uniform(0, 4))
            victim = inject(fault, cluster, there, dice)
            states = there.reproduce("status", "chaos").splitlines()[1]
            print(f"chaos {number}: fault {injected} of {len(faults)}: {fault} ({victim}); then: {states}")
        while left(there, calm):
            come_to_life(cluster, there, calm)
        until(lambda: cluster.resume_nodes() or not cluster.jobs(), lambda: f"no job is left; {cluster.log()}")
        print(f"chaos {number}: at the end:\n{there.reproduce('status', 'chaos')}")
        assert {record["label"]: outcome(record) for record in there.records().values()} == calm
        assert "submitted 0 runs, under way 0, done 4" in there.submit("chaos")
        assert len(list(there.results.glob("runs/*/*/*/record.json"))) == 4


def come_to_life(cluster: Cluster, there: ClusterCli, wanted: Iterable[str]) -> None:
    """Wait until something runs or all is done. Where no job is left, `status` says why, and they are submitted again."""
    until(
        lambda: cluster.resume_nodes() or running(there) or not left(there, wanted) or not cluster.jobs(),
        lambda: f"something happens; {cluster.log()}",
    )
    if cluster.jobs() or not left(there, wanted):
        return
    told = there.reproduce("status", "chaos")
    print(told)
    for label in left(there, wanted):
        assert re.search(rf"^(failed|stale): {label}-\w+: .*\S", told, re.MULTILINE), "it says why"
    for log in there.results.glob("jobs/*/*.err"):
        print(f"--- {log.name}\n{log.read_text()[-1500:]}")
    there.reproduce("retry", "chaos", "--profile", "a100", *(f"--set={setting}" for setting in SETTINGS))


def left(there: ClusterCli, wanted: Iterable[str]) -> list[str]:
    """Those of the labels of which there is no record."""
    done = {path.parent.name.rpartition("-")[0] for path in there.results.glob("runs/*/*/*/record.json")}
    return [label for label in wanted if label not in done]


def running(there: ClusterCli) -> list[int]:
    """The processes of the runs that are running."""
    claims = [json.loads(claim.read_text()) for claim in there.results.glob("runs/*/*/*/attempts/[0-9]*[0-9].json")]
    return [claim["pid"] for claim in claims if not gone(claim["pid"])]


def inject(fault: str, cluster: Cluster, there: ClusterCli, dice: random.Random) -> str:
    """Do it, to whatever is there at this moment; returns to what."""
    node = dice.choice(["a100n", "v100n"])
    match fault:
        case "kill a run":
            for pid in (pids := running(there)[:1]):
                os.kill(pid, signal.SIGKILL)
            return f"process {pids}"
        case "requeue a job":
            jobs = cluster.jobs()[:1]
            cluster("scontrol", "requeue", *jobs, check=False)  # it may end at this moment
            return f"job {jobs}"
        case "preempt a node":
            preempt(cluster, node)
            return node
        case "restart the controller":
            cluster.end_daemon("slurmctld")
            cluster.control("slurmctld")
            until(lambda: cluster("sinfo", "--noheader", check=False), "it answers")
            return "slurmctld"
        case "take a node down and up":
            lose(cluster, node)
            return node
        case "fill the disk":
            filler = fill(there.results)
            time.sleep(seconds := dice.uniform(1, 4))
            filler.unlink()
            return f"for {seconds:.1f} s"
        case "give a job a minute":
            return _give_a_minute(cluster)
    raise AssertionError(fault)


def _give_a_minute(cluster: Cluster) -> str:
    """The first running job is told that its time ends; once it is back, or at its end, it gets time again."""
    asked = ("squeue", "--noheader", "--array", "--states=running", "--format=%i %S")
    started = next(iter(cluster(*asked).splitlines()), None)
    if started is None:
        return "no job"
    job = started.split()[0]
    cluster("scontrol", "update", f"jobid={job}", "timelimit=1", check=False)
    until(lambda: started not in cluster(*asked).splitlines(), "it ended")
    cluster("scontrol", "update", f"jobid={job}", "timelimit=30", check=False)
    return f"job {job}"
