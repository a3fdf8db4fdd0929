"""Choices that no paper has, each registered here alone: a schedule that closes layers, a regularizer, a mask.

    python -m tests.toys schedule=toggle regularizer=pull mask=alternate …

is `python -m fun.run` with them.
"""

import runpy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from fun.methods import MASKS, REGULARIZERS, Method, MethodChoice
from fun.unfreezing import Moment, Schedule, register

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel


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

    def build(self, model: "TaskModel", seed: int) -> Pulling:
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

    def build(self, model: "TaskModel", seed: int) -> Alternating:
        return Alternating(model)


store = ConfigStore.instance()
store.store(group="schedule", name="toggle", node={"name": "toggle"})
store.store(group="regularizer", name="pull", node={"name": "pull", "strength": 0.1})
store.store(group="mask", name="alternate", node={"name": "alternate"})

if __name__ == "__main__":
    runpy.run_module("fun.run", run_name="__main__")
