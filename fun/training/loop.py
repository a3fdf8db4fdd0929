"""Optimisation: one plain loop with length-sorted micro-batches, unfreezing, selection and exact resume.

Our own, because micro-batches of unequal size, randomness by position and a stop before a non-finite step would each
need private methods of transformers' Trainer. `fun.unfreezing.callback` brings the same unfreezing to any Trainer.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fun.config import RunConfig, results_root
from fun.errors import RunError
from fun.inputs import fishers
from fun.machine import signals as survival
from fun.methods import Method, Unfreezing
from fun.models.heads import predict
from fun.models.task_model import TaskModel
from fun.randomness import derive, generator
from fun.training.batches import Batch, Batches
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.inference import autocast
from fun.training.journal import Journal
from fun.training.optimizer import learning_rate, optimizer
from fun.unfreezing import Stage, layers_text
from fun.unfreezing.unfreezer import Unfreezer

log = logging.getLogger("fun")

SMALLEST_SCALE = 2.0**-14
"""fp16's scale starts at 2^16. Where halving it 30 times did not help, the numbers themselves are wrong."""


@dataclass(eq=False)
class Training:
    """One run's training: `run()` from the start, or, behind `restore`, from a checkpoint with bit-identical outcome.

    `validate` measures English validation, `test` the test sets that are followed: data set -> language -> metrics.
    """

    config: RunConfig
    model: TaskModel
    batches: Batches
    updates: int
    validate: Callable[[], dict[str, float]]
    test: Callable[[], dict[str, dict[str, dict[str, float]]]]
    journal: Journal
    progress: Progress
    best_weights: dict[str, Tensor] = field(default_factory=dict, init=False)
    _latest_scores: tuple[int, dict[int, float]] = field(default=(0, {}), init=False)

    def __post_init__(self) -> None:
        config, model, train = self.config, self.model, self.config.train
        self.unfreezer = Unfreezer(config.schedule, model.blocks, config.seed, self._score)
        files = {each.language: each.file(results_root()) for each in fishers(config)}
        epochs = self.batches.epoch(self.updates) + 1
        chosen = (choice.build(model, config.seed, files, epochs) for choice in (config.regularizer, config.mask))
        self.methods: list[Method] = [Unfreezing(self.unfreezer, self._note_stage), *filter(None, chosen)]
        self.optimizer = optimizer(train.optimizer, model.parameters(), train.lr, train.weight_decay)
        # Keeps fp16's small gradients from vanishing; without fp16 it passes everything through, and has no state.
        self.scaler = GradScaler(model.device.type, enabled=config.precision == "fp16")

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up where `checkpoint` was written; its progress was given to the constructor."""
        self.best_weights = checkpoint.best_weights
        self.model.load_state(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        self.unfreezer.restore(map(Stage.from_json, self.progress.stages))

    def run(self) -> None:
        """Make the remaining updates; the model ends with the weights of the selected update. Raises RunError before a
        step whose loss or gradient is not finite, and Stopped behind a checkpoint."""
        often, saved_at = self.config.checkpoint, time.monotonic()
        begun, tracking = self.progress.update, self.progress.tracking
        bar = tqdm(total=self.updates, initial=begun, unit="update", disable=None, dynamic_ncols=True)
        with survival.deferred(), logging_redirect_tqdm(), bar:
            for update in range(begun + 1, self.updates + 1):
                for method in self.methods:
                    method.before_update(update, self.batches.epoch(update))
                if (every := tracking.get("fisher_every", 0)) and (update - 1) % every == 0:
                    self._track(update)
                self._update(update, bar)
                if self._due(update, self.config.train.eval_every):
                    self._evaluate(update)
                if self._due(update, tracking.get("tests_every")):
                    # Test scores of the weights as they are, by data set, language and metric (GradDrop, Figure 2).
                    epoch = update / self.batches.per_epoch
                    self.journal.log({"kind": "test", "update": update, "epoch": epoch, "scores": self.test()})
                overdue = time.monotonic() - saved_at > 60 * often.minutes
                # The best weights exist nowhere else, so the last update is always saved: evaluation may be killed.
                due = update % often.every == 0 or update == self.updates or overdue
                if due or survival.requested():
                    states = self.optimizer.state_dict(), self.scaler.state_dict()
                    self.journal.save(Checkpoint(self.progress, self.model.state(), self.best_weights, *states))
                    saved_at = time.monotonic()
                survival.check()
        self.model.load_state(self.best_weights)

    def _due(self, update: int, every: int | str | None) -> bool:
        """Whether the end of `update` is that of so many updates or of an epoch, or of training; never where None."""
        number = self.batches.per_epoch if every == "epoch" else every
        return number is not None and (update % int(number) == 0 or update == self.updates)

    def _note_stage(self, stage: Stage) -> None:
        trainable = sum(p.numel() for p in self.model.parameters().values() if p.requires_grad)
        entry = {**stage.to_json(), "trainable": trainable}
        self.progress.stages.append(entry)
        self.journal.log({"kind": "stage", **entry})

    def _update(self, update: int, bar: "tqdm[Any]") -> None:
        started, train = time.perf_counter(), self.config.train
        batch = self.batches[update]
        total = self._backward(update, batch)
        self.scaler.unscale_(self.optimizer)
        for method in self.methods:
            method.add_gradient(update)
        total_norm = self._norm()
        # Together: for each number that the processor reads it would wait for a GPU once more.
        (loss, norm), masked_norm = torch.stack((total, total_norm.to(total))).tolist(), None
        outcome = {"loss": loss, "norm": norm}
        if self.scaler.is_enabled() and not math.isfinite(norm) and self.scaler.get_scale() > SMALLEST_SCALE:
            # The gradient overflowed at a scale that can still be lowered: the scaler skips this step and halves it.
            outcome = {"loss": None, "norm": None, "skipped": True}
        elif not (math.isfinite(loss) and math.isfinite(norm)):
            raise RunError(
                f"update {update}: the loss is {loss} and the gradient's norm {norm}; this update "
                "was not made. Type a smaller train.lr"
            )
        else:
            masked_norm = self._mask_and_clip(update, total_norm)
        rate = learning_rate(train.lr, train.lr_schedule, update, self.updates, train.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.update = update
        self.progress.examples += batch.size
        self.progress.train_seconds += time.perf_counter() - started
        if masked_norm is not None:
            outcome["masked_norm"] = masked_norm.item()
        self.journal.log({"kind": "train", "update": update, "lr": rate, **outcome})
        bar.set_postfix_str(f"loss {loss:.3f}, open {layers_text(self.unfreezer.open)}", refresh=False)
        bar.update()

    def _backward(self, update: int, batch: Batch) -> Tensor:
        """The loss of a batch, its parts' gradients added up: the sum over its units by their number."""
        # Dropout of update n depends on n alone: a Fisher pass or an evaluation before it changes nothing.
        torch.manual_seed(derive(self.config.seed, "dropout", update))
        self.model.module.train()
        loss = torch.zeros((), dtype=torch.float64, device=self.model.device)
        for part in batch.parts:
            with autocast(self.model.device, self.config.precision):
                predictive = predict(self.model.module, self.model.head, part)
            share = predictive.nll(part["labels"]).sum() / batch.units
            self.scaler.scale(share).backward()
            loss += share.detach()
        return loss

    def _mask_and_clip(self, update: int, norm: Tensor) -> Tensor | None:
        """Mask the gradient, whose norm before that is `norm`, and clip what is left; its norm, if there is a mask."""
        masks = [method for method in self.methods if type(method).mask_gradient is not Method.mask_gradient]
        for mask in masks:
            mask.mask_gradient(update, self.batches.epoch(update))
        norm = self._norm() if masks else norm
        nn.utils.clip_grads_with_norm_(self.model.parameters().values(), self.config.train.clip, norm)
        return norm if masks else None

    def _norm(self) -> Tensor:
        return nn.utils.get_total_norm([p.grad for p in self.model.parameters().values() if p.grad is not None])

    def _evaluate(self, update: int) -> None:
        """Measure English validation; keep the weights if this is the best update so far."""
        metrics = self.validate()
        self.progress.validation.append({"update": update, "metrics": metrics})
        logged = {name: value for method in self.methods for name, value in method.logged().items()}
        self.journal.log({"kind": "validation", "update": update, **metrics, **logged})
        name, value = next(iter(metrics.items()))
        log.info("update %d: validation %s %.1f, open %s", update, name, value, layers_text(self.unfreezer.open))
        best = self.progress.best
        if best is None or is_better(value, best["value"], self.config.train.ties):
            self.progress.best = {"update": update, "metric": name, "value": value}
            self.best_weights = self.model.state()

    def _score(self, update: int) -> dict[int, float]:
        """tr(F) of every layer before `update`, on batches and labels of this position's own. In fp32 whatever the
        precision of training: squares of small gradients lose most to rounding."""
        if self._latest_scores[0] != update:  # an opening and a tracking point share it
            started, model = time.perf_counter(), self.model
            batches = self.batches.shuffled("fisher batches", update)
            labels = generator(self.config.seed, "fisher labels", update)
            scores = self.config.fisher.score(model.module, model.head, model.blocks, batches, labels)
            self.progress.fisher_seconds += time.perf_counter() - started
            self._latest_scores = (update, scores)
        return self._latest_scores[1]

    def _track(self, update: int) -> None:
        """Log tr(F) of the open layers, and its mean over them (Figure 3)."""
        layers = sorted(self.unfreezer.open)
        line = {"kind": "fisher", "update": update, "estimator": self.config.fisher.name, "open": layers}
        try:
            scores = self._score(update)
        except RunError as error:
            # What is only looked at must not fail a run that trains: tracking is no part of its identity.
            self.journal.log(line | {"scores": None, "mean_open": None, "error": str(error)})
            return
        tracked = {str(layer): scores[layer] for layer in layers}
        mean = sum(tracked.values()) / len(tracked) if tracked else None
        self.journal.log(line | {"scores": tracked, "mean_open": mean})


def is_better(value: float, best: float, ties: str) -> bool:
    """Whether a later update replaces the best one so far: `ties` says who wins between equals."""
    return value > best or (value == best and ties == "latest")
