"""The step log of a run, and the views of it. metrics.jsonl is the truth; wandb shows it."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fun.config import RunConfig
from fun.errors import ConfigError
from fun.results import Attempt
from fun.training.checkpoint import Checkpoint

log = logging.getLogger("fun")

CHECKPOINT_FILE = "checkpoint/last.pt"


class WandbView:
    """metrics.jsonl in Weights & Biases: run id = run_id, step = update, every line once.

    Nobody knows which lines of an interrupted attempt became durable there, so each attempt shows the whole log. Its
    offline run takes the place of the earlier ones, unless they were sent; a server drops the steps that it has.
    """

    def __init__(self, config: RunConfig, attempt: Attempt) -> None:
        # wandb takes a second to import and is off by default.
        import wandb

        logger, run = config.logger, attempt.run
        self._offline = logger.mode == "offline"
        run.path.mkdir(parents=True, exist_ok=True)
        if self._offline:
            for earlier in (run.path / "wandb").glob(f"offline-run-*-{run.run_id}"):
                if not any(earlier.glob("*.synced")):
                    shutil.rmtree(earlier)
        self.run = wandb.init(
            id=run.run_id,
            name=config.label,
            project=logger.project,
            entity=logger.entity,
            mode=logger.mode,
            dir=str(run.path),
            resume="allow",
            config=config.active(),
            settings=wandb.Settings(silent=True),
        )
        self._first = self.run.step  # that the server does not have yet; 0 offline

    def show(self, line: Mapping[str, Any]) -> None:
        """Show a line of the log, in the order of the log."""
        update, kind = line["update"], line["kind"]
        if update >= self._first:
            values = {f"{kind}/{name}": value for name, value in line.items() if name not in ("kind", "update")}
            self.run.log(values, step=update)

    def summarise(self, metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Show the final metrics."""
        for dataset, languages in metrics.items():
            for language, values in languages.items():
                for name, value in values.items():
                    self.run.summary[f"test/{dataset}/{language}/{name}"] = value

    def close(self) -> None:
        self.run.finish()
        if self._offline:
            log.info("wandb, offline: send it with wandb sync %s", Path(self.run.dir).parent)


class Journal:
    """Writes the step log and the checkpoint of one attempt; a context manager. Lines behind update `keep`, from which
    training resumes, are dropped, and will be written again, identically."""

    def __init__(self, attempt: Attempt, view: WandbView | None, keep: int) -> None:
        self.attempt, self.view = attempt, view
        self.lines = attempt.metrics_log(keep=keep)
        if view:
            for line in attempt.run.attempt_log():
                view.show(line)

    def log(self, line: Mapping[str, Any]) -> None:
        """Append a line; it holds `kind` and `update`."""
        self.lines.append(line)
        if self.view:
            self.view.show(line)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, atomically and only while this attempt is the current one."""
        self.attempt.publish(CHECKPOINT_FILE, checkpoint.write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.lines.close()
        if self.view:
            self.view.close()


def check_view(config: RunConfig) -> None:
    """Raise ConfigError for a view that could not show anything."""
    if config.logger.mode == "online":
        import wandb

        if not wandb.api.api_key:
            raise ConfigError("logger.mode=online needs a key: type wandb login first, or logger.mode=offline")
