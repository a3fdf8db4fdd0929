"""Batches by position, cut into length-sorted micro-batches.

Padding is half of the work when a batch is padded to its longest example. Here each part is padded to its own longest;
the sum of the parts' losses, divided by the number of the batch's units, has the same gradient.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fun.config import RunConfig
from fun.data import subset
from fun.models.heads import Unit
from fun.randomness import generator
from fun.tasks.base import Feature, Row, collate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Batch:
    """`size` examples in length-sorted parts: tokenised tensors [b, T] (or [b, 2, T]) and labels [b, F]. The loss is a
    mean over its `units`: examples or labels, as the head says."""

    size: int
    units: int
    parts: list[dict[str, Tensor]]

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; from pinned memory without waiting for it."""
        return replace(self, parts=[{k: v.to(device, non_blocking=True) for k, v in p.items()} for p in self.parts])


def training_features(
    config: RunConfig, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerBase"
) -> tuple[Sequence[Row], Sequence[Feature]]:
    """What the run trains on of the rows of its training set, all of them or its subset; and the features of that."""
    size, rule = config.data_size.examples, config.data_size.subset
    if rule is not None:
        rows = subset(rows, size, rule)
    features: Sequence[Feature] = config.task.encode(rows, tokenizer, config.training_language)
    # The authors' code cuts a second time after windowing (run_qa.py, max_train_samples).
    return rows, features[:size] if rule == "first" else features


@dataclass(eq=False)
class Batches:
    """The training batches of every update, as a function of (seed, update), in parts of at most so many token `slots`.

    With `ahead` a thread makes the next update's batch meanwhile: a GPU would wait for it, a CPU has no time left.
    """

    features: Sequence[Feature]
    _: KW_ONLY
    batch_size: int
    seed: int
    slots: int
    pad_id: int
    device: torch.device
    unit: Unit = "examples"
    ahead: bool = False
    _epoch_order: tuple[int, list[int]] = (-1, [])
    _next: tuple[int, "Future[Batch]"] | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1), init=False)

    @property
    def per_epoch(self) -> int:
        """Updates of an epoch."""
        return -(-len(self.features) // self.batch_size)

    def epoch(self, update: int) -> int:
        """The 0-based epoch of the 1-based `update`."""
        return (update - 1) // self.per_epoch

    def __getitem__(self, update: int) -> Batch:
        """The batch of the 1-based `update`; the last one of an epoch may be smaller."""
        number, made = self._next or (0, None)
        batch = made.result() if made and number == update else self._of(update)
        if self.ahead:
            self._next = update + 1, self._thread.submit(self._of, update + 1)
        return batch.to(self.device)

    def shuffled(self, purpose: str, position: int) -> Iterator[Batch]:
        """All batches once, in an order of their own (for a Fisher pass at update `position`)."""
        order = self._permutation(purpose, position)
        random = generator(self.seed, f"{purpose} reading", position)
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size], random).to(self.device)

    def _of(self, update: int) -> Batch:
        """The batch of an update, on the CPU; in the thread or not."""
        order, epoch = self._epoch_order, self.epoch(update)
        if order[0] != epoch:
            order = self._epoch_order = (epoch, self._permutation("order", epoch))
        start = (update - 1) % self.per_epoch * self.batch_size
        batch = self._batch(order[1][start : start + self.batch_size], generator(self.seed, "reading", update))
        if self.device.type == "cuda":  # from pinned memory a GPU reads while the processor goes on
            return replace(batch, parts=[{k: v.pin_memory() for k, v in part.items()} for part in batch.parts])
        return batch

    def _permutation(self, purpose: str, position: int) -> list[int]:
        return torch.randperm(len(self.features), generator=generator(self.seed, purpose, position)).tolist()

    def _batch(self, indices: Sequence[int], random: torch.Generator) -> Batch:
        chosen = [self.features[index].reading(random) for index in indices]
        parts = [collate(part, self.pad_id) for part in sorted_parts(chosen, self.slots)]
        units = sum(len(feature.labels) for feature in chosen) if self.unit == "labels" else len(chosen)
        return Batch(len(chosen), units, parts)


def sorted_parts(features: Sequence[Feature], slots: int, part_cost: int = 64) -> list[list[Feature]]:
    """Sort by length and cut where it costs least: padded token slots, plus `part_cost` for the overhead of each part,
    by dynamic programming. No part takes more than `slots`, unless a single example does."""
    ordered = sorted(features, key=lambda feature: feature.length)  # stable: ties keep the batch's order
    rows = [feature.slots // feature.length for feature in ordered]  # sequences per example: 1, or 2 choices
    best: list[tuple[int, int]] = [(0, 0)]  # best[j]: least cost of the first j examples, start of their last part
    for end in range(1, len(ordered) + 1):
        options, sequences = [], 0
        for start in reversed(range(end)):
            sequences += rows[start]
            padded = sequences * ordered[end - 1].length
            if padded > slots and start < end - 1:
                break
            options.append((best[start][0] + padded + part_cost, start))
        best.append(min(options))
    parts: list[list[Feature]] = []
    end = len(ordered)
    while end:
        start = best[end][1]
        parts.append(ordered[start:end])
        end = start
    return parts[::-1]
