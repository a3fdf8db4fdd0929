"""The unfreezing callback for anybody's transformers `Trainer` (or adapters `AdapterTrainer`)."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from fun.unfreezing.schedules.base import Schedule, Stage
from fun.unfreezing.unfreezer import Blocks, Scorer, Unfreezer


class UnfreezingCallback(TrainerCallback):
    """Opens and closes the layers of `blocks` on `schedule` while a Trainer trains.

    Leave every parameter of `blocks` trainable when the Trainer starts: it builds its optimizer from the trainable
    ones, and the callback closes layers only after that. The stages so far are saved beside each checkpoint and read
    back when training resumes from it. `fun.models.blocks.task_blocks(model, adapter)` gives the blocks of an adapter;
    `seed` is for random schedules; `scorer`, update -> tr(F) per layer, for those that choose by scores (`fun`).
    """

    def __init__(self, schedule: Schedule, blocks: Blocks, seed: int = 0, scorer: Scorer | None = None) -> None:
        self.unfreezer = Unfreezer(schedule, blocks, seed, scorer)

    @property
    def history(self) -> list[Stage]:
        """The stages so far, oldest first: from which update on which layers train."""
        return self.unfreezer.history

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        schedule, layers = self.unfreezer.schedule, len(self.unfreezer.blocks)
        per_epoch = max(1, state.max_steps // max(1, state.num_train_epochs))
        last = max((change.update for change in schedule.planned(layers, state.max_steps, per_epoch)), default=0)
        if last > state.max_steps:
            raise ValueError(
                f"the last layer opens at update {last}, but training has {state.max_steps}: "
                "take a smaller k or more updates"
            )
        if state.global_step > 0:
            file = _history_file(args, state)
            if not file.is_file():
                raise FileNotFoundError(
                    f"training resumes after update {state.global_step}, but {file} is missing: resume from a "
                    "checkpoint that was saved with this callback, in the same output_dir"
                )
            self.unfreezer.restore(map(Stage.from_json, json.loads(file.read_text())))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.unfreezer.before_update(state.global_step + 1, int(state.epoch or 0))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        _history_file(args, state).write_text(json.dumps([stage.to_json() for stage in self.history]))


def _history_file(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / "unfreezing.json"
