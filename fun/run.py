"""The entry point: `python -m fun.run task=mnli schedule=gu seed=0`, or `-m` for a sweep."""

import json
import logging
import os
import sys
import traceback

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fun.config import CONFIG_DIR, results_root
from fun.config.compose import hydra_says
from fun.errors import ConfigError, FunError
from fun.inputs import from_hydra, run_folder
from fun.machine import signals as survival
from fun.results import RunFolder, State
from fun.sweep import SWEEP

FAILED: list[str] = []
"""The failed jobs of a sweep in this process. The others go on, and the sweep's exit status is 1."""


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def main(composed: DictConfig) -> None:
    """Compose, check, run; asked to end in between, save and end."""
    try:
        with survival.handling():
            _run(composed)
    except survival.Stopped as stopped:
        print(f"\n{stopped}: the same command goes on from the last checkpoint", file=sys.stderr)
        survival.leave(stopped)


def _run(composed: DictConfig) -> None:
    try:
        if "sweep" in composed and composed.hparams == "published" and HydraConfig.get().mode is RunMode.RUN:
            raise ConfigError("+sweep=… stands for many runs: type -m as well")
        config = from_hydra(composed, HydraConfig.get().overrides.task)
        if config.dry_run:
            from fun.preview import preview

            print(json.dumps(preview(config), indent=2))
            return
        # torch and transformers take seconds to import; --help and mistakes should not wait for them.
        from fun.experiment import run

        run(config)
    except KeyboardInterrupt:
        print("\ninterrupted: type the same command again to go on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except FunError as error:
        runtime = HydraConfig.get()
        if runtime.mode is not RunMode.MULTIRUN:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2 if isinstance(error, ConfigError) else 1)
        job = " ".join(runtime.overrides.task)
        FAILED.append(job)
        print(f"error: {job}: {error}", file=sys.stderr)
        if not runtime.launcher._target_.endswith(".BasicLauncher"):
            raise  # a job in a process of its own, where nobody else would tell its launcher


def _start() -> int:
    """Let Hydra run what was typed, and tell without a traceback what it or a launcher refuses. The exit status."""
    if {"--help", "-h"} & set(sys.argv):
        return _help([argument for argument in sys.argv[1:] if not argument.startswith("-")])
    if root := os.environ.get("FUN_RESULTS"):
        os.environ["FUN_RESULTS"] = os.path.expanduser(root)  # Hydra writes there too
    # else Hydra prints its errors itself, some of them with a traceback
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A cluster without accounting refuses every poll, and submitit then looks for the job's output, which is enough.
    logging.getLogger("submitit").addFilter(lambda record: "Bypassing sacct error" not in record.getMessage())
    try:
        main()
    except Exception as error:
        if message := hydra_says(error):
            print(f"error: {message}", file=sys.stderr)
            return 2
        if not (failure := _launcher_says(error)):
            raise
        print(f"error: {failure}", file=sys.stderr)
        return 2 if isinstance(failure, ConfigError) else 1
    return 0


def _help(overrides: list[str]) -> int:
    from fun.config.help import help_text

    try:
        print(help_text(overrides))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _launcher_says(error: Exception) -> FunError | None:
    """What ended a sweep whose jobs run in other processes, in one line; None for any other error."""
    if isinstance(error, FunError):
        return error  # a job's own, brought here by its launcher
    calls = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = [line.strip() for line in str(error).splitlines()]
    if not _elsewhere() or "launch" not in calls or not isinstance(error, RuntimeError | OSError):
        return None
    if "results" not in calls:
        SWEEP.clear()
        return FunError(
            f"no job was submitted: {'; '.join(lines)}: see partition and account in conf/hydra/launcher, "
            "or type hydra/launcher=local"
        )
    return FunError(" ".join(lines[:2]))  # a job that ended without a word; below that is the tail of its log


def _elsewhere() -> bool:
    """Whether the jobs of this process's sweep run in other processes: only such launchers load submitit."""
    return "submitit" in sys.modules


def _folders() -> dict[str, RunFolder]:
    """The run folders of this sweep, by job."""
    runs = {job: config for job, config in SWEEP.items() if not config.dry_run}
    return {job: run_folder(config, results_root()).present() for job, config in runs.items()}


def _tell_scores() -> None:
    """One line for each done run of a sweep whose jobs told of theirs elsewhere."""
    done = [folder for folder in _folders().values() if folder.status().state is State.DONE] if _elsewhere() else []
    if done:
        from fun.experiment import summary

        for folder in done:
            scores = summary(folder.record()).splitlines()
            print("".join([str(folder.path), *scores]), file=sys.stderr)


def _not_done() -> list[str]:
    """The jobs of this sweep whose runs are not done, as their folders say: a launcher may not tell, or not know."""
    return [job for job, folder in _folders().items() if folder.status().state is not State.DONE]


if __name__ == "__main__":
    try:
        status = _start()
    finally:
        _tell_scores()
        failed = list(dict.fromkeys([*FAILED, *_not_done()]))
        if failed:
            print(f"error: {len(failed)} jobs of the sweep failed: {'; '.join(failed)}", file=sys.stderr)
    sys.exit(1 if failed else status)
