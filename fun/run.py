"""The entry point: `python -m fun.run task=mnli schedule=gu seed=0`, or `-m` for a sweep."""

import json
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fun.config import CONFIG_DIR, from_hydra
from fun.errors import ConfigError, FunError


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
    except FunError as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise  # the other jobs go on; Hydra names the failed one and exits with status 1
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


if __name__ == "__main__":
    main()
