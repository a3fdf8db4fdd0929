"""A toy regularizer with a gradient, and a toy mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fun.methods.base import MASKS, REGULARIZERS, Method, MethodChoice

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel


class Shrinking(Method):
    """strength/2 · ‖θ‖²."""

    def __init__(self, model: "TaskModel", strength: float) -> None:
        self.model, self.strength = model, strength

    def add_gradient(self, update: int) -> None:
        for parameter in self.model.parameters().values():
            if parameter.grad is not None:
                parameter.grad += self.strength * parameter.detach()


@REGULARIZERS.register("shrink")
@dataclass(frozen=True)
class Shrink(MethodChoice):
    """Towards zero, for the sake of one language."""

    strength: float
    """λ."""
    language: str
    """Whose run it is."""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Shrinking:
        return Shrinking(model, self.strength)


class OddLayers(Method):
    """No gradient in layers with an odd number."""

    def __init__(self, model: "TaskModel") -> None:
        self.blocks = model.blocks

    def mask_gradient(self, update: int, epoch: int) -> None:
        for layer, block in self.blocks.items():
            for parameter in block.values():
                if parameter.grad is not None:
                    parameter.grad *= layer % 2 == 0


@MASKS.register("odd")
@dataclass(frozen=True)
class Odd(MethodChoice):
    """Odd layers stay."""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> OddLayers:
        return OddLayers(model)
