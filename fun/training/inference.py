"""The head's output for every feature of a split, and the precision of a forward pass."""

from collections.abc import Sequence

import numpy as np
import torch

from fun.models.heads import forward
from fun.models.task_model import TaskModel
from fun.tasks.base import Feature, collate


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A forward pass in bf16 or fp16; with fp32 it changes nothing. Weights and optimizer are always in fp32."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


@torch.inference_mode()
def outputs(
    model: TaskModel, features: Sequence[Feature], *, slots: int, precision: str
) -> list[tuple[np.ndarray, ...]]:
    """The head's logits per feature and factor, in the order of `features`, padding cut off; eval mode. `slots` bounds
    the padded token slots of one forward pass."""
    was_training = model.module.training
    model.module.eval()
    logits: list[tuple[np.ndarray, ...]] = [()] * len(features)
    with autocast(model.device, precision):
        for part in _parts(features, slots):
            batch = collate([features[index] for index in part], model.pad_id)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            factors = model.head.logits(forward(model.module, batch), batch)
            arrays = [factor.float().cpu().numpy() for factor in factors]
            for row, index in enumerate(part):
                length = {"classes": None, "tokens": features[index].length, "labels": len(features[index].labels)}
                logits[index] = tuple(array[row, : length[model.head.over]] for array in arrays)
    model.module.train(was_training)
    return logits


def _parts(features: Sequence[Feature], slots: int) -> list[list[int]]:
    """Length-sorted parts of a whole split, as indices; greedily, for the dynamic program would be quadratic."""
    parts: list[list[int]] = []
    for index in sorted(range(len(features)), key=lambda index: features[index].length):
        if parts and (len(parts[-1]) + 1) * features[index].slots <= slots:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts
