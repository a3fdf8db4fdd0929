"""The entry point: `python -m fun.run task=mnli schedule=gu seed=0`, or `-m` for a sweep."""

import json
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fun import survival
from fun.config import CONFIG_DIR, from_hydra, results_root
from fun.config.sweep import SWEEP
from fun.errors import ConfigError, FunError
from fun.results import State, folder_of

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
        config = from_hydra(composed)
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


def _not_done() -> list[str]:
    """The jobs of this sweep whose runs are not done, as their folders say: a launcher may not tell, or not know."""
    root, runs = results_root(), {job: config for job, config in SWEEP.items() if not config.dry_run}
    folders = {job: folder_of(config.folder(root), config.run_id) for job, config in runs.items()}
    return [job for job, folder in folders.items() if folder.status().state is not State.DONE]


if __name__ == "__main__":
    try:
        main()
    finally:
        failed = list(dict.fromkeys([*FAILED, *_not_done()]))
        if failed:
            print(f"error: {len(failed)} jobs of the sweep failed: {'; '.join(failed)}", file=sys.stderr)
    if failed:
        sys.exit(1)
