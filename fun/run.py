"""The entry point: `python -m fun.run task=mnli schedule=gu seed=0`, or `-m` for a sweep."""

import json
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fun.config import CONFIG_DIR, from_hydra
from fun.errors import ConfigError, FunError

FAILED: list[str] = []
"""The failed jobs of a sweep in this process. The others go on, and the sweep's exit status is 1."""


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def main(composed: DictConfig) -> None:
    """Compose, check, run."""
    try:
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
        FAILED.append(runtime.job.override_dirname)
        print(f"error: {runtime.job.override_dirname}: {error}", file=sys.stderr)
        if not runtime.launcher._target_.endswith(".BasicLauncher"):
            raise  # a job in a process of its own, where nobody else would tell its launcher


if __name__ == "__main__":
    main()
    if FAILED:
        print(f"error: {len(FAILED)} jobs of the sweep failed: {'; '.join(FAILED)}", file=sys.stderr)
        sys.exit(1)
