"""The step log of a run, and the views of it. metrics.jsonl is the truth; wandb shows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from fun.config import RunConfig
from fun.results import Attempt
from fun.training.checkpoint import Checkpoint

CHECKPOINT = "checkpoint/last.pt"


class View(Protocol):
    """Shows the step log somewhere else."""

    def show(self, number: int, line: Mapping[str, Any]) -> None:
        """Show line `number` (0-based) of the log, unless it was shown before the run was interrupted."""

    def summarise(self, metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Show the final metrics."""

    def close(self) -> None:
        """Flush."""


class Journal:
    """Writes the step log and the checkpoint of one attempt. Use as a context manager.

    `keep` is the update of the checkpoint that training resumes from: later lines of the log are dropped
    and will be written again, identically.
    """

    def __init__(self, attempt: Attempt, view: View | None, keep: int) -> None:
        self.attempt = attempt
        self.view = view
        self.lines = attempt.metrics_log(keep=keep)
        self.number = self.lines.kept

    def log(self, line: Mapping[str, Any]) -> None:
        """Append a line; it holds `kind` and `update`."""
        self.lines.append(line)
        if self.view:
            self.view.show(self.number, line)
        self.number += 1

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, atomically and only while this attempt is the current one."""
        self.attempt.publish(CHECKPOINT, checkpoint.write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lines.close()
        if self.view:
            self.view.close()


class WandbView:
    """metrics.jsonl in Weights & Biases: run id = run_id, step = update, lines shown once.

    How many lines were shown is noted in the run folder before each one is sent, so a resumed run goes on
    without repeating a step.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        # wandb takes a second to import and is off by default.
        import wandb

        logger = config.logger
        self.shown_file = folder / "wandb-shown.json"
        self.shown = json.loads(self.shown_file.read_text()) if self.shown_file.is_file() else 0
        self.run = wandb.init(
            id=config.run_id,
            name=config.label,
            project=logger.project,
            entity=logger.entity,
            mode=logger.mode,
            dir=str(folder),
            resume="allow",
            config=config.active(),
            settings=wandb.Settings(silent=True),
        )

    def show(self, number: int, line: Mapping[str, Any]) -> None:
        """See View."""
        if number < self.shown:
            return
        self.shown = number + 1
        self.shown_file.write_text(json.dumps(self.shown))
        values = {k: v for k, v in line.items() if k not in ("kind", "update")}
        self.run.log({f"{line['kind']}/{name}": value for name, value in values.items()}, step=line["update"])

    def summarise(self, metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """See View."""
        for dataset, languages in metrics.items():
            for language, values in languages.items():
                for name, value in values.items():
                    self.run.summary[f"test/{dataset}/{language}/{name}"] = value

    def close(self) -> None:
        """See View."""
        self.run.finish()


def open_view(config: RunConfig, folder: Path) -> View | None:
    """The view that `logger=` asks for."""
    return WandbView(config, folder) if config.logger.name == "wandb" else None
