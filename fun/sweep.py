"""A sweep: checked as a whole before its first job trains, and told as a whole when its last job has ended."""

import itertools
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError

from fun.config import RunConfig, results_root
from fun.config.compose import hydra_is_up
from fun.errors import ConfigError, FunError
from fun.inputs import compose, run_folder, search
from fun.machine import slurm
from fun.results import State
from fun.results.files import make_folder

SWEEP: dict[str, RunConfig] = {}
"""The runs that this process's multirun starts, by their overrides; empty where it starts none."""

FAILED: list[str] = []
"""The jobs that failed in this process. The others go on, and the sweep's exit status is 1."""


class CheckSweep(Callback):
    """Hydra callback: composes every job of a multirun; one bad job ends the sweep with status 2."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra turns a callback's exceptions into warnings and goes on, so every way out of here is ours.
        try:
            problems = _problems(config)
        except InterpolationResolutionError as error:
            problems = [str(error).splitlines()[0].partition("interpolation: ")[2]]
        except FunError as error:
            problems = [str(error)]
        except Exception:
            traceback.print_exc()
            problems = ["the sweep could not be checked; none of its jobs was started"]
        if problems:
            SWEEP.clear()
            for problem in problems:
                print(f"error: {problem}", file=sys.stderr)
            sys.exit(2)


def _problems(config: DictConfig) -> list[str]:
    """What is wrong with a sweep, in lines; its jobs are in SWEEP. Raises what is wrong with all of it."""
    parameters = config.hydra.sweeper.get("params") or {}
    swept = [f"{field}={values}" for field, values in parameters.items()]
    typed = list(config.hydra.overrides.task)
    if swept:  # a point of a search that is refused is told once, and not as one wrong job per seed
        for choice in expand(typed):
            search(choice)
    jobs = expand([*swept, *typed])
    problems = []
    for job in jobs:
        try:
            SWEEP[" ".join(job)] = compose(job)
        except ConfigError as error:
            problems.append(f"{' '.join(job)}: {error}")
    if problems:
        return [*problems, f"{len(problems)} of {len(jobs)} jobs are wrong; none was started"]
    make_folder(Path(config.hydra.sweep.dir))  # Hydra would tell a failure in many lines
    if config.hydra.launcher._target_.endswith("SlurmLauncher"):
        slurm.leave_job()
    return []


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in Hydra's order; the later of two for one field. Raises ConfigError."""
    choices: dict[str, list[str]] = {}
    try:
        with hydra_is_up() as loader:  # which `glob` asks for the choices that there are
            for override in OverridesParser.create(loader).parse_overrides(list(overrides)):
                key = override.get_key_element()
                if override.is_sweep_override():
                    choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
                    if not choices[key]:
                        raise ConfigError(f"{override.input_line} stands for no value; expected at least one")
                else:
                    choices[key] = [str(override.input_line)]
    except HydraException as error:
        raise ConfigError(str(error)) from error
    return [list(job) for job in itertools.product(*choices.values())]


def job_failed(error: FunError) -> None:
    """Tell what ended one job of a sweep. Raises it in a process of its own, where nobody else tells its launcher."""
    runtime = HydraConfig.get()
    job = " ".join(runtime.overrides.task)
    FAILED.append(job)
    print(f"error: {job}: {error}", file=sys.stderr)
    if not runtime.launcher._target_.endswith(".BasicLauncher"):
        raise error


def launcher_says(error: Exception) -> FunError | None:
    """What ended a sweep whose jobs run in other processes, in one line; None for any other error."""
    if isinstance(error, FunError):
        return error  # a job's own, brought here by its launcher
    calls = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not _elsewhere() or "launch" not in calls or not isinstance(error, RuntimeError | OSError):
        return None
    lines = [line.strip() for line in str(error).splitlines()]
    if "results" in calls:
        return FunError(" ".join(lines[:2]))  # a job that ended without a word; below that is the tail of its log
    SWEEP.clear()
    return FunError(
        f"no job was submitted: {'; '.join(lines)}: see partition and account in conf/hydra/launcher, "
        "or type hydra/launcher=local"
    )


def failed() -> bool:
    """Tell which jobs of this process's sweep failed, and how those ended that ran elsewhere. Whether any failed.

    Their folders say it too: a launcher may not tell, or not know.
    """
    runs = {job: config for job, config in SWEEP.items() if not config.dry_run}
    folders = {job: run_folder(config, results_root()).present() for job, config in runs.items()}
    done = {job: folder for job, folder in folders.items() if folder.status().state is State.DONE}
    if done and _elsewhere():
        from fun.experiment import summary

        for folder in done.values():
            print("".join([str(folder.path), *summary(folder.record()).splitlines()]), file=sys.stderr)
    lost = list(dict.fromkeys([*FAILED, *(job for job in folders if job not in done)]))
    if lost:
        print(f"error: {len(lost)} jobs of the sweep failed: {'; '.join(lost)}", file=sys.stderr)
    return bool(lost)


def _elsewhere() -> bool:
    """Whether the jobs of this process's sweep run in other processes: only such launchers load submitit."""
    return "submitit" in sys.modules
