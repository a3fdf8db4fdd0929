"""The head's output for every feature of a split."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch

from fun.models.heads import forward
from fun.models.task_model import TaskModel
from fun.tasks.base import Feature, collate


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision for bf16, nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@torch.inference_mode()
def outputs(
    model: TaskModel, features: Sequence[Feature], *, slots: int, precision: str
) -> list[tuple[np.ndarray, ...]]:
    """The head's logits per feature and factor, in the order of `features`, padding cut off; eval mode.

    `slots` bounds the padded token slots of one forward pass.
    """
    was_training = model.module.training
    model.module.eval()
    position = {id(feature): index for index, feature in enumerate(features)}
    found: list[tuple[np.ndarray, ...]] = [()] * len(features)
    with autocast(model.device, precision):
        for part in sorted_parts_of_many(features, slots):
            batch = {k: v.to(model.device) for k, v in collate(part, model.pad_id).items()}
            logits = model.head.logits(forward(model.module, batch))
            factors = [factor.float().cpu().numpy() for factor in logits]
            for row, feature in enumerate(part):
                found[position[id(feature)]] = tuple(_unpadded(factor[row], feature) for factor in factors)
    model.module.train(was_training)
    return found


def sorted_parts_of_many(features: Sequence[Feature], slots: int) -> list[list[Feature]]:
    """Length-sorted parts of a whole split, greedily: the dynamic program is quadratic and a split is long."""
    parts: list[list[Feature]] = []
    for feature in sorted(features, key=lambda feature: feature.length):
        rows = feature.slots // feature.length
        if parts and (len(parts[-1]) + 1) * rows * feature.length <= slots:
            parts[-1].append(feature)
        else:
            parts.append([feature])
    return parts


def _unpadded(factor: np.ndarray, feature: Feature) -> np.ndarray:
    """A factor over tokens without its padding; a factor over classes as it is."""
    over_tokens = feature.inputs["input_ids"].ndim == 1 and len(feature.labels) > 1
    return factor[: feature.length] if over_tokens else factor
