"""SLURM, or this machine, as `conf/hydra/launcher/` describes it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from fun.results import local_job
from reproduce.start.jobs import LOCAL, SchedulerError, last_line

PROFILES = {"a100": "slurm_a100", "v100": "slurm_v100", "local": "local"}
"""What `--profile` may name -> the file in conf/hydra/launcher."""

ARRAY_SIZE = 1000
"""SLURM's MaxArraySize is 1001 unless a site changes it."""

# As in Hydra's submitit launcher: these mean the same everywhere, and all others belong to SLURM alone.
SHARED = (
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "mem_gb",
    "nodes",
    "name",
    "stderr_to_stdout",
)


@dataclass(frozen=True)
class Profile:
    """Where jobs run and what they get: a file of conf/hydra/launcher, with what was typed."""

    name: str
    settings: dict[str, Any]

    @classmethod
    def load(cls, name: str, typed: Sequence[str] = ()) -> "Profile":
        """`typed` are `setting=value`. Raises ConfigError."""
        if name not in PROFILES:
            raise ConfigError(f"unknown profile '{name}'; valid profiles: {', '.join(PROFILES)}")
        settings = _launcher(name, typed)
        seconds, delay = 60 * settings["timeout_min"], settings.get("signal_delay_s", 0)
        if seconds <= delay:
            raise ConfigError(
                f"profile {name}: found timeout_min={settings['timeout_min']} with signal_delay_s={delay}: a job would "
                f"be told to end as soon as it starts; expected a longer time limit, or --set signal_delay_s=… below "
                f"{seconds}"
            )
        return cls(name, settings)

    @property
    def local(self) -> bool:
        return self.name == LOCAL

    def executor(self, folder: Path, dependency: str | None = None) -> submitit.AutoExecutor:
        """submitit's executor, which writes into `folder`. `dependency` as sbatch takes it."""
        cluster = "local" if self.local else "slurm"
        own = {key: value for key, value in self.settings.items() if value is not None}
        requeues = own.pop("max_num_timeout", None)
        at_start = {} if self.local else {"slurm_max_num_timeout": requeues}
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **at_start)
        parameters = {key if key in SHARED else f"{cluster}_{key}": value for key, value in own.items()}
        if self.local:
            # The jobs outlive the command and its terminal.
            parameters["local_setup"] = ["exec </dev/null >/dev/null 2>&1", "trap '' HUP INT"]
        if dependency:
            parameters["slurm_dependency"] = dependency
        executor.update_parameters(**parameters, name="fun")
        return executor

    def submit(
        self, job: Callable[..., None], parts: Sequence[Any], folder: Path, dependency: str | None = None
    ) -> list[str]:
        """Submit `job(part)` for every part, as an array; the jobs' names as SLURM's tools print them."""
        try:
            with slurm.outside_of_jobs():
                submitted = self.executor(folder, dependency).map_array(job, parts)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise SchedulerError(f"profile {self.name}: sbatch refused: {last_line(str(error))}") from error
        except RuntimeError as error:  # there is no srun here
            raise SchedulerError(
                f"profile {self.name}: {error} Submit where sbatch is, or type --profile local"
            ) from error
        return [local_job(int(job.job_id)) if self.local else job.job_id for job in submitted]

    def script(self, job: Callable[..., None], parts: Sequence[Any], jobs: Path, dependency: str | None = None) -> str:
        """The sbatch script that `submit` would hand over, with `jobs` as folder; empty for the local profile."""
        if self.local:
            return ""
        with TemporaryDirectory() as folder, slurm.outside_of_jobs(), _idle_slurm(Path(folder) / "bin"):
            submitted = self.executor(Path(folder) / "jobs", dependency).map_array(job, parts)
            text: str = submitted[0].paths.submission_file.read_text()
            return text.replace(str(Path(folder) / "jobs"), str(jobs))


def _launcher(name: str, typed: Sequence[str]) -> dict[str, Any]:
    """The settings of a profile, resolved, without those of Hydra's own. Raises ConfigError."""
    overrides = [f"hydra/launcher={PROFILES[name]}", *(f"hydra.launcher.{setting}" for setting in typed)]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            launcher = compose("config", overrides=overrides, return_hydra_config=True).hydra.launcher
        with open_dict(launcher):
            for key in ("_target_", "submitit_folder", "name"):  # Hydra's: the last two depend on the sweep
                del launcher[key]
        settings = OmegaConf.to_container(launcher, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        why = f"{error} {error.__cause__ or ''}"  # Hydra wraps what OmegaConf found
        raise ConfigError(f"profile {name}: {' '.join(why.split())}") from error
    assert isinstance(settings, dict)
    return {str(key): value for key, value in settings.items()}


@contextmanager
def _idle_slurm(folder: Path) -> Iterator[None]:
    """Within, sbatch takes every script and does nothing: what submitit would submit can be looked at anywhere."""
    folder.mkdir()
    for program in ("sbatch", "srun"):
        (folder / program).write_text("#!/bin/sh\necho Submitted batch job 0\n")
        (folder / program).chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}:{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path
