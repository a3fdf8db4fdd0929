"""No regularizer, no mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fun.methods.base import MASKS, REGULARIZERS, MethodChoice

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel


@REGULARIZERS.register("none")
@MASKS.register("none")
@dataclass(frozen=True)
class Without(MethodChoice):
    """The gradient of the loss, as it is."""

    @property
    def label(self) -> str:
        return ""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> None:
        return None
