"""Choices that no paper has, each registered here alone: a schedule that closes layers, a regularizer, a mask, a kind of
task.

    python -m tests.toys schedule=toggle regularizer=pull mask=alternate …

is `python -m fun.run` with them.
"""

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from fun.methods import MASKS, REGULARIZERS, Method, MethodChoice
from fun.tasks import TASKS
from fun.tasks.classification import ClassificationTask
from fun.unfreezing import Moment, Schedule, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from fun.models.task_model import TaskModel
    from fun.tasks.base import Feature, Row


@register("toggle")
@dataclass(frozen=True)
class Toggle(Schedule):
    """One layer at a time, from the top, another one in every epoch."""

    def open_layers(self, moment: Moment) -> frozenset[int]:
        return frozenset({moment.layers - 1 - moment.epoch % moment.layers})


class Pulling(Method):
    """strength/2 · ‖θ - θ*‖², θ* the weights it was built with."""

    def __init__(self, model: "TaskModel", strength: float) -> None:
        self.parameters = model.parameters()
        self.start = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.strength = strength

    def add_gradient(self, update: int) -> None:
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                parameter.grad += self.strength * (parameter.detach() - self.start[name])

    def penalty(self) -> Any:
        """What `add_gradient` adds the gradient of."""
        distance = sum((p - self.start[name]).square().sum() for name, p in self.parameters.items())
        return self.strength / 2 * distance

    def logged(self) -> dict[str, float]:
        return {"penalty": self.penalty().item()}


@REGULARIZERS.register("pull")
@dataclass(frozen=True)
class Pull(MethodChoice):
    """L2 towards the initial weights."""

    strength: float
    """λ."""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Pulling:
        return Pulling(model, self.strength)


class Alternating(Method):
    """The gradient of every second number, and of none in the layer that has the number of the epoch."""

    def __init__(self, model: "TaskModel") -> None:
        self.blocks = model.blocks
        self.calls: list[tuple[int, int]] = []

    def mask_gradient(self, update: int, epoch: int) -> None:
        self.calls.append((update, epoch))
        for layer, block in self.blocks.items():
            for parameter in block.values():
                if parameter.grad is not None:
                    parameter.grad.view(-1)[::2] = 0
                    parameter.grad *= layer != epoch


@MASKS.register("alternate")
@dataclass(frozen=True)
class Alternate(MethodChoice):
    """Half of every gradient."""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Alternating:
        return Alternating(model)


@TASKS.register("swapped")
@dataclass(frozen=True, kw_only=True)
class SwappedTask(ClassificationTask):
    """A pair read backwards."""

    def encode(self, rows: "Sequence[Row]", tokenizer: "PreTrainedTokenizerBase", language: str) -> "list[Feature]":
        first, second = self.columns
        return super().encode([{**row, first: row[second], second: row[first]} for row in rows], tokenizer, language)


store = ConfigStore.instance()
declared = {"labels": ["entailment", "neutral", "contradiction"], "training_set": "mnli", "test_sets": ["xnli"]}
swapped = {"name": "swapped", "kind": "swapped", "max_length": 64, "columns": ["premise", "hypothesis"]}
store.store(group="task", name="swapped", node=swapped | declared | {"world": "micronli"})
store.store(group="schedule", name="toggle", node={"name": "toggle"})
store.store(group="regularizer", name="pull", node={"name": "pull", "strength": 0.1})
store.store(group="mask", name="alternate", node={"name": "alternate"})

if __name__ == "__main__":
    runpy.run_module("fun.run", run_name="__main__")
