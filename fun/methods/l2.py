"""L2 distance from the pretrained weights (Eq. 1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fun.methods.anchor import Anchored, Anchoring
from fun.methods.base import REGULARIZERS

if TYPE_CHECKING:
    from fun.models.task_model import TaskModel


@REGULARIZERS.register("l2")
@dataclass(frozen=True, kw_only=True)
class L2(Anchoring):
    """λ/2 ‖θ - θ*‖²: every weight is held alike."""

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Anchored:
        """See MethodChoice."""
        return Anchored(model.anchored(), self.strength)
