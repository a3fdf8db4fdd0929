"""SLURM, or this machine, as `conf/hydra/launcher/` describes it."""

import os
from collections.abc import Callable, Sequence
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
SHARED = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "stderr_to_stdout")


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

    def executor(self, folder: Path, after: Sequence[str]) -> submitit.AutoExecutor:
        """submitit's executor, which writes into `folder`; its jobs start when those named `after` have ended."""
        cluster = "local" if self.local else "slurm"
        own = {key: value for key, value in self.settings.items() if value is not None}
        requeues = own.pop("max_num_timeout", None)
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=requeues)
        parameters = {key if key in SHARED else f"{cluster}_{key}": value for key, value in own.items()}
        if self.local:
            # The jobs outlive the command and its terminal.
            parameters["local_setup"] = ["exec </dev/null >/dev/null 2>&1", "trap '' HUP INT"]
        if after:
            # afterany: whether a producer is done is asked of its folder, and what is missing there is shown as a gap
            parameters["slurm_dependency"] = f"afterany:{':'.join(after)}"
        executor.update_parameters(**parameters, name="fun")
        return executor

    def submit(
        self, job: Callable[..., None], parts: Sequence[Any], folder: Path, after: Sequence[str]
    ) -> list[str]:
        """Submit `job(part)` for every part, as an array; the jobs' names as SLURM's tools print them."""
        try:
            with slurm.outside_of_jobs():
                submitted = self.executor(folder, after).map_array(job, parts)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise SchedulerError(f"profile {self.name}: sbatch refused: {last_line(str(error))}") from error
        except RuntimeError as error:  # there is no srun here
            raise SchedulerError(
                f"profile {self.name}: {error} Submit where sbatch is, or type --profile local"
            ) from error
        return [local_job(int(job.job_id)) if self.local else job.job_id for job in submitted]

    def script(self, job: Callable[..., None], parts: Sequence[Any], folder: Path, after: Sequence[str]) -> str:
        """The sbatch script that `submit` would hand over; empty for the local profile.

        Made by an sbatch that takes every script and does nothing, so that it can be looked at anywhere.
        """
        if self.local:
            return ""
        with TemporaryDirectory() as aside, slurm.outside_of_jobs():  # which restores PATH
            for program in ("sbatch", "srun"):
                (Path(aside) / program).write_text("#!/bin/sh\necho Submitted batch job 0\n")
                (Path(aside) / program).chmod(0o755)
            os.environ["PATH"] = f"{aside}:{os.environ['PATH']}"
            submitted = self.executor(Path(aside) / "jobs", after).map_array(job, parts)
            text: str = submitted[0].paths.submission_file.read_text()
            return text.replace(f"{aside}/jobs", str(folder))
