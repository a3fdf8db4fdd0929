"""No regularizer, no mask."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fun.methods.base import MASKS, REGULARIZERS, MethodChoice

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel


@REGULARIZERS.register("none")
@MASKS.register("none")
@dataclass(frozen=True)
class Without(MethodChoice):
    """The gradient of the loss, as it is."""

    name: ClassVar[str] = "none"

    def build(self, model: "TaskModel", seed: int) -> None:
        return None
