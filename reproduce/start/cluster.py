"""Submits the runs that targets lack: producers first, each run once, as few arrays as their dependencies allow."""

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import submitit
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from fun.config import CONFIG_DIR
from fun.errors import ConfigError
from fun.machine import slurm
from fun.results import JobKnown, Phase, State, local_job
from reproduce.runs.plan import Entry, waves
from reproduce.start.job import Job
from reproduce.start.jobs import LOCAL, Jobs, SchedulerError, job_of, last_line

PROFILES = {"a100": "slurm_a100", "v100": "slurm_v100", "local": "local"}
"""What `--profile` may name -> the file in conf/hydra/launcher."""

ARRAY_SIZE = 1000
"""SLURM's MaxArraySize is 1001 unless a site changes it."""

# As in Hydra's submitit launcher: these mean the same everywhere, and all others belong to SLURM alone.
SHARED = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "stderr_to_stdout")


@dataclass(frozen=True)
class Profile:
    """SLURM, or this machine, and what jobs get there: a file of conf/hydra/launcher, with what was typed."""

    name: str
    settings: dict[str, Any]

    @classmethod
    def load(cls, name: str, typed: Sequence[str] = ()) -> "Profile":
        """`typed` are `setting=value`. Raises ConfigError."""
        if name not in PROFILES:
            raise ConfigError(f"unknown profile '{name}'; valid profiles: {', '.join(PROFILES)}")
        overrides = [f"hydra/launcher={PROFILES[name]}", *(f"hydra.launcher.{setting}" for setting in typed)]
        try:
            with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
                launcher = compose("config", overrides=overrides, return_hydra_config=True).hydra.launcher
            with open_dict(launcher):
                for key in ("_target_", "submitit_folder", "name"):  # Hydra's: the last two depend on the sweep
                    del launcher[key]
            settings: Any = OmegaConf.to_container(launcher, resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            why = f"{error} {error.__cause__ or ''}"  # Hydra wraps what OmegaConf found
            raise ConfigError(f"profile {name}: {' '.join(why.split())}") from error
        minutes, delay = settings["timeout_min"], settings.get("signal_delay_s", 0)
        if 60 * minutes <= delay:
            raise ConfigError(
                f"profile {name}: found timeout_min={minutes} with signal_delay_s={delay}: a job would be told to end "
                f"as soon as it starts; expected a longer time limit, or --set signal_delay_s=… below {60 * minutes}"
            )
        return cls(name, settings)

    @property
    def local(self) -> bool:
        return self.name == LOCAL


@dataclass(frozen=True)
class Array:
    """Jobs to submit together for the results root `root`: the runs of each, and the jobs that must end before."""

    profile: Profile
    root: Path
    parts: tuple[tuple[Entry, ...], ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        runs = counted(sum(map(len, self.parts)), "run")
        return f"{runs} in {counted(len(self.parts), 'job')} on {self.profile.name}"

    @property
    def folder(self) -> Path:
        """Where the jobs' scripts, pickles and logs go."""
        return self.root / "jobs" / time.strftime("%Y-%m-%d")

    def submit(self) -> list[str]:
        """The jobs' names as SLURM's tools print them. Raises SchedulerError."""
        try:
            with slurm.outside_of_jobs():
                submitted = self._submitted(self.folder)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise SchedulerError(f"profile {self.profile.name}: sbatch refused: {last_line(str(error))}") from error
        except RuntimeError as error:  # there is no srun here
            remedy = "Submit where sbatch is, or type --profile local"
            raise SchedulerError(f"profile {self.profile.name}: {error} {remedy}") from error
        return [local_job(int(job.job_id)) if self.profile.local else job.job_id for job in submitted]

    def script(self) -> str:
        """What `submit` would hand to sbatch, as one that does nothing takes it; empty for the local profile."""
        if self.profile.local:
            return ""
        with TemporaryDirectory() as aside, slurm.outside_of_jobs():  # which restores PATH
            for program in ("sbatch", "srun"):
                (Path(aside) / program).write_text("#!/bin/sh\necho Submitted batch job 0\n")
                (Path(aside) / program).chmod(0o755)
            os.environ["PATH"] = f"{aside}:{os.environ['PATH']}"
            submitted = self._submitted(Path(aside) / "jobs")
            text: str = submitted[0].paths.submission_file.read_text()
            return text.replace(f"{aside}/jobs", str(self.folder))

    def _submitted(self, folder: Path) -> Any:
        """The jobs, as submitit submits them; it writes into `folder`."""
        local = self.profile.local
        cluster = "local" if local else "slurm"
        own = {key: value for key, value in self.profile.settings.items() if value is not None}
        requeues = own.pop("max_num_timeout", None)
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=requeues)
        parameters = {key if key in SHARED else f"{cluster}_{key}": value for key, value in own.items()}
        if local:
            # The jobs outlive the command and its terminal.
            parameters["local_setup"] = ["exec </dev/null >/dev/null 2>&1", "trap '' HUP INT"]
        elif self.after:
            # afterany: whether a producer is done is asked of its folder. What it leaves missing is shown as a gap.
            parameters["slurm_dependency"] = f"afterany:{':'.join(self.after)}"
        executor.update_parameters(**parameters, name="fun")
        return executor.map_array(Job(self.root), self.parts)


@dataclass
class Submission:
    """Submits runs of a plan into the results folder `root`; afterwards it holds what came of it.

    A run gets its reservation before its job is submitted, so that two planners at one time submit it once.
    """

    root: Path
    profiles: Sequence[Profile]
    runs_per_job: int | None
    job_known: JobKnown = field(default_factory=Jobs)
    under_way: int = 0
    waiting: list[Entry] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def submit(self, entries: Sequence[Entry]) -> Iterator[tuple[Array, list[str]]]:
        """Submit what is wanted, and yield each array with the names of its jobs. Raises SchedulerError."""
        asked = {entry.run: entry.run.reserve(self.job_known) for entry in entries if entry.wanted}
        reservations = {run: reservation for run, reservation in asked.items() if reservation is not None}
        self.under_way = len(asked) - len(reservations)  # what somebody else has in hand
        try:
            for array in self.arrays([entry for entry in entries if entry.run in reservations]):
                for reservation in reservations.values():
                    reservation.renew()
                with _uninterrupted():
                    names = array.submit()
                    for part, name in zip(array.parts, names, strict=True):
                        for entry in part:
                            reservations.pop(entry.run).note(job=name)
                self.names += names
                yield array, names
        finally:
            for reservation in reservations.values():
                reservation.note(phase=Phase.OVER)

    def arrays(self, entries: Sequence[Entry], look_only: bool = False) -> Iterator[Array]:
        """One per profile and jobs that must end before; what reads from a run that has no job waits for later.

        `look_only`: nothing is submitted, and PRODUCERS stands for the jobs that make what is read.
        """
        local = self.profiles[0].local
        for wave in waves(entries):
            groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
            for entry in wave:
                makers = [run for run in entry.producers if run.status().state is not State.DONE]
                jobs = dict.fromkeys("PRODUCERS" if look_only else job_of(run, self._job_known) for run in makers)
                if None in jobs or (jobs and local):
                    self.waiting.append(entry)
                else:
                    groups[tuple(job for job in jobs if job is not None)].append(entry)
            for after, group in groups.items():
                # On this machine all jobs start at once: unless another number is typed, one per core.
                per_job = -(-len(group) // len(os.sched_getaffinity(0))) if local else 1
                of_jobs = list(_batched(group, self.runs_per_job or per_job))
                for number, profile in enumerate(self.profiles):
                    for parts in _batched(of_jobs[number :: len(self.profiles)], ARRAY_SIZE):
                        yield Array(profile, self.root, parts, after)

    def _job_known(self, job: str) -> bool:
        return job in self.names or self.job_known(job)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Within, a request to end waits: jobs that were submitted and not noted would be submitted again.

    Ctrl-C is ignored, by sbatch too: the terminal sends it to both, and sbatch may not tell what it has submitted.
    """
    requests: list[int] = []
    previous = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda request, frame: requests.append(request)),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if requests:
            signal.raise_signal(requests[0])


def _batched(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))


def summary(names: Sequence[str]) -> str:
    """Job names for people: 17_[0-11], 18."""
    counts = Counter(name.rpartition("_")[0] or name for name in names)
    return ", ".join(f"{array}_[0-{count - 1}]" if count > 1 else array for array, count in counts.items())


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
