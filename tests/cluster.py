"""A real SLURM for tests, and `python -m tests.cluster`: the reproduction's commands with targets of the tests' own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, Cli
from tests.waiting import run, until

TARGETS = Path(__file__).parent / "data" / "cluster"
SCRIPT = ROOT / "slurm" / "test-cluster"

# What the test machine can give, and signals soon enough for runs of seconds.
SETTINGS = ("cpus_per_task=1", "mem_gb=1", "array_parallelism=2", "timeout_min=30", "signal_delay_s=30")


@dataclass(frozen=True)
class Cluster:
    """The test cluster in `folder`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __call__(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's programs, and return what it prints."""
        done = run(command, ROOT, os.environ | self.environment)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def control(self, *command: str) -> None:
        """slurm/test-cluster COMMAND, here."""
        name, *arguments = command
        subprocess.run([SCRIPT, name, self.folder, *arguments], check=True, capture_output=True, text=True)

    def jobs(self) -> list[str]:
        """The jobs that wait or run."""
        return self("squeue", "--noheader", "--array", "--format=%i").split()

    def steps(self, node: str) -> list[Path]:
        """The sockets of the job steps that have not ended on a node."""
        return [path for path in (self.folder / f"spool.{node}").iterdir() if path.is_socket()]

    def resume_nodes(self) -> None:
        """What an operator does: take back nodes that are down or that SLURM drained, and jobs that it holds."""
        for line in self("sinfo", "--noheader", "--Node", "--format=%N %t", check=False).splitlines():
            node, state = line.split()
            if state.startswith(("down", "drain", "drng")):
                self("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        for line in self("squeue", "--noheader", "--array", "--format=%i %r", check=False).splitlines():
            if line.endswith("requeued held"):
                self("scontrol", "release", line.split()[0], check=False)

    def tidy(self) -> None:
        """Leave no job and no drained node to the next test."""
        self("scancel", "--user=root", check=False)
        until(lambda: not self.jobs(), lambda: f"no job is left; {self.log()}")
        self.resume_nodes()

    def end_daemon(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End one daemon: in order, or with SIGKILL as a crash of its machine does."""
        pid = int((self.folder / "run" / f"{name}.pid").read_text())
        os.kill(pid, number)
        until(lambda: gone(pid), f"{name} has ended")

    def log(self) -> str:
        """The end of the controller's log, for messages."""
        return "\n".join((self.folder / "log" / "slurmctld.log").read_text().splitlines()[-30:])


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster, started and stopped; skips where this machine cannot have one, fails in CI."""
    if reason := _lacking():
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must not skip the tests on a real SLURM")
        pytest.skip(f"{reason}: no real SLURM here")
    cluster = Cluster(folder)
    cluster.control("start")
    try:
        yield cluster
    finally:
        cluster.control("stop")


def _lacking() -> str:
    missing = [program for program in ("slurmctld", "slurmd", "munged") if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    return "" if os.geteuid() == 0 else "not root"


@dataclass(frozen=True)
class ClusterCli(Cli):
    """`Cli` on a cluster; `reproduce` knows the targets of tests/data/cluster."""

    variables: Mapping[str, str] = ()  # type: ignore[assignment]

    def environment(self) -> dict[str, str]:
        return super().environment() | dict(self.variables) | {"FUN_HEARTBEAT_SECONDS": "1"}

    def reproduce(self, *arguments: str, status: int | None = 0) -> str:
        return self(*arguments, module="tests.cluster", status=status).stdout

    def submit(self, *arguments: str, profile: str = "a100", status: int | None = 0) -> str:
        typed = [part for setting in SETTINGS for part in ("--set", setting)] if profile != "local" else []
        return self.reproduce("submit", "--profile", profile, *typed, *arguments, status=status)

    def folder(self, name: str = "") -> Path:
        """The folder of the only run, or of the only one with `name` in its label, once it has begun."""
        found = until(lambda: list(self.results.glob(f"runs/*/*/*{name}*/attempts")), f"run {name} began")
        assert len(found) == 1
        return found[0].parent  # type: ignore[no-any-return]

    def frozen_at(self, update: int, attempt: int = 1, name: str = "") -> int:
        """Stop a run's process behind an update, so that what is done to it meets it there; its pid."""
        folder = self.folder(name)
        log, claim = folder / "metrics.jsonl", folder / "attempts" / f"{attempt:04d}.json"

        def reached() -> bool:
            # A log older than the claim is what the attempt before left.
            ours = claim.exists() and log.exists() and log.stat().st_mtime_ns > claim.stat().st_mtime_ns
            return ours and f'"update": {update},' in log.read_text()

        until(reached, f"attempt {attempt} at {folder.name} made update {update}")
        pid = int(json.loads(claim.read_text())["pid"])
        os.kill(pid, signal.SIGSTOP)
        return pid

    def update(self, name: str = "") -> int:
        """The last update that a run has made."""
        *_, last = (self.folder(name) / "metrics.jsonl").read_text().splitlines()
        return int(json.loads(last)["update"])

    def job(self, name: str) -> str:
        """The job that made a run's latest attempt."""
        claim = max((self.folder(name) / "attempts").glob("[0-9]*[0-9].json"))
        return str(json.loads(claim.read_text())["job"])

    def ends(self, name: str = "") -> list[str]:
        """How the attempts at a run ended that could say so."""
        files = sorted((self.folder(name) / "attempts").glob("*.end.json"))
        return [json.loads(file.read_text()).get("reason", "done") for file in files]

    def resumed(self, name: str = "") -> list[int]:
        """The update behind which each attempt at a run began."""
        files = sorted((self.folder(name) / "attempts").glob("*.heartbeat"))
        return [json.loads(file.read_text())["resumed"] for file in files]


def asked_to_end(pid: int, number: signal.Signals) -> None:
    """Wait until a stopped process was sent a signal, and let it go on."""
    until(lambda: gone(pid) or signal_pending(pid, number), f"process {pid} is sent {number.name}")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def signal_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a stopped process has been sent a signal that it has not seen yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(int(mask, 16) & 1 << (number - 1) for mask in masks)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 64 MB at `folder`; skips where none can be mounted, fails in CI."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "test", folder], capture_output=True, text=True)
    if mounted.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no file system can be mounted: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that leaves no byte free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert shutil.disk_usage(folder).free == 0
    return filler


if __name__ == "__main__":
    from reproduce.__main__ import main

    sys.exit(main(sys.argv[1:], TARGETS))
