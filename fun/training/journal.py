"""The step log of a run, and the views of it. metrics.jsonl is the truth; wandb shows it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from fun.config import RunConfig
from fun.errors import ConfigError
from fun.results import Attempt
from fun.training.checkpoint import Checkpoint

log = logging.getLogger("fun")

CHECKPOINT_FILE = "checkpoint/last.pt"


class View(Protocol):
    """Shows the step log somewhere else."""

    def show(self, line: Mapping[str, Any]) -> None:
        """Show a line of the log, unless it was shown before the run was interrupted."""

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lines.close()
        if self.view:
            self.view.close()


class WandbView:
    """metrics.jsonl in Weights & Biases: run id = run_id, step = update, every line once.

    Steps only go up there, so the last line shown is noted in the run folder, and a resumed run goes on behind
    it. A rerun (`force=true`, or for tr(F)) shows its lines in an offline run of its own.
    """

    def __init__(self, config: RunConfig, attempt: Attempt) -> None:
        # wandb takes a second to import and is off by default.
        import wandb

        logger = config.logger
        self._offline = logger.mode == "offline"
        self._shown_file = attempt.folder / "wandb-shown.json"
        self._shown = self._read_shown()
        attempt.run.path.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            id=config.run_id,
            name=config.label,
            project=logger.project,
            entity=logger.entity,
            mode=logger.mode,
            dir=str(attempt.run.path),
            resume="allow",
            config=config.active(),
            settings=wandb.Settings(silent=True),
        )

    def show(self, line: Mapping[str, Any]) -> None:
        """See View."""
        update, kind = line["update"], line["kind"]
        last, kinds = self._shown
        if update < last or (update == last and kind in kinds):
            return
        self._shown = (update, [*kinds, kind] if update == last else [kind])
        # Noted before it is sent: a line may be lost to a kill, none is sent twice.
        aside = self._shown_file.with_suffix(".new")
        aside.write_text(json.dumps(self._shown))
        aside.replace(self._shown_file)
        values = {name: value for name, value in line.items() if name not in ("kind", "update")}
        self.run.log({f"{kind}/{name}": value for name, value in values.items()}, step=update)

    def _read_shown(self) -> tuple[int, list[str]]:
        try:
            update, kinds = json.loads(self._shown_file.read_text())
        except FileNotFoundError:
            return 0, []
        return update, kinds

    def summarise(self, metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """See View."""
        for dataset, languages in metrics.items():
            for language, values in languages.items():
                for name, value in values.items():
                    self.run.summary[f"test/{dataset}/{language}/{name}"] = value

    def close(self) -> None:
        """See View."""
        self.run.finish()
        if self._offline:
            log.info("wandb, offline: send it with wandb sync %s", Path(self.run.dir).parent)


def check_view(config: RunConfig) -> None:
    """Raise ConfigError for a view that could not show anything."""
    if config.logger.mode == "online":
        import wandb

        if not wandb.api.api_key:
            raise ConfigError("logger.mode=online needs a key: type wandb login first, or logger.mode=offline")


def open_view(config: RunConfig, attempt: Attempt) -> View | None:
    """The view that `logger=` asks for."""
    return WandbView(config, attempt) if config.logger.name == "wandb" else None
