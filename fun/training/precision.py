"""Mixed precision: the forward pass in bf16 or fp16 by autocast, weights and optimizer always in fp32."""

from contextlib import AbstractContextManager

import torch
from torch.amp import GradScaler

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}

SMALLEST_SCALE = 2.0**-14
"""The scale starts at 2^16. Where halving it 30 times did not help, the numbers themselves are wrong."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context of a forward pass; with fp32 it changes nothing."""
    return torch.autocast(device.type, dtype=HALF.get(precision), enabled=precision in HALF)


def gradient_scaler(device: torch.device, precision: str) -> GradScaler:
    """Keeps fp16's small gradients from vanishing; without fp16 it passes everything through, and has no state.

    Where a gradient overflows, it skips the optimizer's step and halves its scale.
    """
    return GradScaler(device.type, enabled=precision == "fp16")
