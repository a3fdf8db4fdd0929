"""Estimating a diagonal Fisher: what a task=fisher run does in place of training."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fun.config import RunConfig
from fun.errors import ConfigError, RunError
from fun.fisher.diagonal import add_squares, write
from fun.fisher.gradients import undisturbed
from fun.inputs import keys, training_inputs
from fun.machine import signals as survival
from fun.models.files import FISHER
from fun.models.heads import predict
from fun.models.task_model import TaskModel
from fun.randomness import generator
from fun.tasks.fisher import FisherTask
from fun.training.batches import Batches
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.journal import Journal

log = logging.getLogger("fun")


@dataclass(eq=False)
class Estimation:
    """One run's Fisher: `run()` from the start, or from a checkpoint of the partial sums with bit-identical outcome.

    Of all pretrained parameters of the encoder, in eval mode; tied word embeddings are one, read as input and output.
    Raises ConfigError for an encoder without a published head for masked language modelling.
    """

    config: RunConfig
    task: FisherTask
    model: TaskModel
    batches: Batches
    journal: Journal
    progress: Progress

    artifact: ClassVar[str] = str(Path(FISHER).parent)

    def __post_init__(self) -> None:
        self.parameters = self.model.anchored()
        self.sums = {name: torch.zeros_like(parameter.detach()) for name, parameter in self.parameters.items()}
        if any(name.startswith("heads.") for name in self.model.parameters()):
            name = self.config.model.name
            raise ConfigError(f"model={name} has no published head that names masked tokens: give one")

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up where `checkpoint` was written; its progress was given to the constructor."""
        for name, total in self.sums.items():
            total.copy_(checkpoint.weights[name])

    def run(self) -> None:
        """Add the remaining squares. Raises RunError where a number is not finite, and Stopped behind a checkpoint."""
        total, done, saved_at = self.task.batches, self.progress, time.monotonic()
        bar = tqdm(total=total, initial=done.update, unit="batch", disable=None, dynamic_ncols=True)
        borrowed = undisturbed(self.model.module, self.parameters.values())
        with survival.deferred(), logging_redirect_tqdm(), bar, borrowed:
            for position in range(done.update + 1, total + 1):
                self._add(position)
                bar.update()
                if position % max(1, total // 10) == 0:
                    log.info("batch %d of %d: %.1f blocks/s", position, total, done.examples / done.fisher_seconds)
                # The sums are as large as the encoder: they are saved by the clock alone.
                overdue = time.monotonic() - saved_at > 60 * self.config.checkpoint.minutes
                if overdue or survival.requested():
                    self.journal.save(Checkpoint(done, self.sums, {}, {}))
                    saved_at = time.monotonic()
                survival.check()

    def save(self, folder: Path) -> None:
        """Write the mean of what was added, and in its metadata what it is of and how it was estimated."""
        folder.mkdir(parents=True, exist_ok=True)
        inputs = keys(training_inputs(self.config))
        text = next(key for name, key in inputs.items() if name.endswith(".train"))
        about = {"language": self.config.lang, "seed": self.config.seed, "encoder": inputs["encoder"], "text": text}
        fisher = {name: (total / self.task.batches).cpu() for name, total in self.sums.items()}
        write(fisher, folder / Path(FISHER).name, {**self.config.active()["task"], **about})

    def _add(self, position: int) -> None:
        started = time.perf_counter()
        batch, labels = self.batches[position], generator(self.config.seed, "fisher labels", position)
        loss, head = 0.0, self.model.head
        for part in batch.parts:
            predictive = predict(self.model.module, head, part)
            drawn = predictive.sample(labels) if self.task.labels == "sampled" else part["labels"]
            share = predictive.nll(drawn).sum() / batch.size
            share.backward()
            loss += share.item()
        add_squares(self.sums, self.parameters, batch.size)
        if not math.isfinite(loss):
            raise RunError(f"batch {position}: -log p of its labels is {loss}; expected a finite number")
        self.progress.update = position
        self.progress.examples += batch.size
        self.progress.fisher_seconds += time.perf_counter() - started
        self.journal.log({"kind": "estimation", "update": position, "nll": loss})
