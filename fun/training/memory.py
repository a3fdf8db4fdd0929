"""What full fine-tuning holds in memory: told before it starts, and refused where a GPU has less."""

import logging
from typing import Any

import torch

from fun.config import RunConfig
from fun.errors import DeviceTooSmall
from fun.models.task_model import TaskModel

log = logging.getLogger("fun")

FLOAT = 4
"""Bytes of a number in fp32, in which weights and what belongs to them are held whatever the precision."""


def memory(config: RunConfig, encoder: Any, weights: int, trained: int) -> dict[str, int]:
    """What is held -> bytes, for an encoder of this transformers configuration with `trained` of `weights` numbers.

    A layer keeps for the backward pass 9 vectors of the hidden size for every token slot of a micro-batch (its input,
    query, key, value, the attention's output before and after the heads are joined, what both layer norms read, what
    the first gives) and 2 of the FFN's (around its nonlinearity). Not counted: the loss, what the batch's longest
    example needs beyond `train.slots`, and the device's own needs.
    """
    activation = FLOAT if config.precision == "fp32" else FLOAT // 2
    slot = encoder.num_hidden_layers * (9 * encoder.hidden_size + 2 * encoder.intermediate_size) * activation
    return {
        "weights": FLOAT * weights,
        "gradients": FLOAT * trained,
        "moments": 2 * FLOAT * trained,
        **dict.fromkeys(config.regularizer.holds, FLOAT * trained),
        "activations": slot * config.train.slots,
    }


def check_memory(config: RunConfig, model: TaskModel, device: torch.device) -> None:
    """Tell what the run will hold. Raises DeviceTooSmall for a GPU with less; on a CPU the system decides."""
    numbers = [sum(p.numel() for p in each) for each in (model.module.parameters(), model.parameters().values())]
    held = memory(config, model.module.config, *numbers)
    total = sum(held.values())
    told = f"{_gb(total)} ({', '.join(f'{name} {_gb(size)}' for name, size in held.items())})"
    log.info("%s holds at least %s", config.label, told)
    if device.type == "cuda" and (there := torch.cuda.get_device_properties(device).total_memory) < total:
        raise DeviceTooSmall(
            f"{config.label} holds at least {told}, and {torch.cuda.get_device_name(device)} has {_gb(there)}: type a "
            "smaller train.slots, or take a larger GPU"
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
