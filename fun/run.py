"""The entry point: `python -m fun.run task=mnli schedule=gu seed=0`, or `-m` for a sweep."""

import gc
import json
import logging
import os
import sys
from importlib import import_module

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fun import sweep
from fun.config import CONFIG_DIR
from fun.config.compose import hydra_says, plain
from fun.errors import ConfigError, FunError, tell, unread
from fun.inputs import from_values
from fun.machine import signals as survival


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def main(composed: DictConfig) -> None:
    """Compose, check, run; asked to end in between, save and end."""
    try:
        with survival.handling():
            _run(composed)
    except survival.Stopped as stopped:
        print(f"\n{stopped}: the same command goes on from the last checkpoint", file=sys.stderr)
        survival.leave(stopped)
    except KeyboardInterrupt:
        print("\ninterrupted: type the same command again to go on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except FunError as error:
        if HydraConfig.get().mode is not RunMode.MULTIRUN:
            sys.exit(tell(error))
        sweep.job_failed(error)


def _run(composed: DictConfig) -> None:
    if "sweep" in composed and composed.hparams == "published" and HydraConfig.get().mode is RunMode.RUN:
        raise ConfigError("+sweep=… stands for many runs: type -m as well")
    config = from_values(plain(composed), HydraConfig.get().overrides.task)
    if config.dry_run:
        from fun.preview import preview

        _show(json.dumps(preview(config), indent=2))
        return
    if "fun.experiment" not in sys.modules:
        # torch and transformers take seconds to import; --help and mistakes do not wait for them. A seventh of these
        # seconds would go into looking for garbage among what is imported, which is there to stay.
        gc.disable()
        import_module("fun.experiment")
        gc.freeze()
        gc.enable()
    from fun.experiment import run

    run(config)


def _show(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.exit(unread())


def _start() -> int:
    """Let Hydra run what was typed, and tell without a traceback what it or a launcher refuses. The exit status."""
    try:
        if {"--help", "-h"} & set(sys.argv):
            from fun.config.help import help_text

            _show(help_text([argument for argument in sys.argv[1:] if not argument.startswith("-")]))
            return 0
        if root := os.environ.get("FUN_RESULTS"):
            os.environ["FUN_RESULTS"] = os.path.expanduser(root)  # Hydra writes there too
        # else Hydra prints its errors itself, some of them with a traceback
        os.environ["HYDRA_FULL_ERROR"] = "1"
        # A cluster without accounting refuses every poll, and submitit then looks for the job's output: enough.
        logging.getLogger("submitit").addFilter(lambda record: "Bypassing sacct error" not in record.getMessage())
        main()
    except Exception as error:
        if message := hydra_says(error):
            return tell(ConfigError(message))
        if failure := sweep.launcher_says(error):
            return tell(failure)
        raise
    return 0


if __name__ == "__main__":
    try:
        status = _start()
    finally:
        failed = sweep.failed()
    sys.exit(1 if failed else status)
