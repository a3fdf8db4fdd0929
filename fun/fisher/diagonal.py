"""The diagonal of the Fisher information, {parameter name: tensor of its shape}, and the file that holds one.

F = E_x E_ŷ (∇ log p(ŷ|x))², elementwise, ŷ drawn from p(y|x), x a block of running text, log p(ŷ|x) the sum over its
masked tokens: Eq. 2 of "Frustratingly Simple Regularization to Improve Zero-shot Cross-lingual Robustness".
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Diagonal = Mapping[str, Tensor]


def add_squares(sums: Diagonal, parameters: Mapping[str, nn.Parameter], size: int) -> None:
    """Add B · ḡ² to `sums`, with ḡ the gradient at `parameters` of a mean over B = `size` examples; that is taken away.

    Labels drawn from p(y|x) make the examples' gradients independent with mean zero, so that E[B · ḡ²] = F at every B.
    """
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            sums[name].addcmul_(parameter.grad, parameter.grad, value=size)
            parameter.grad = None


def normalised(fisher: Diagonal) -> dict[str, Tensor]:
    """F divided by its mean over all numbers: a constant F becomes 1."""
    total = sum(tensor.sum(dtype=torch.float64).item() for tensor in fisher.values())
    mean = total / sum(tensor.numel() for tensor in fisher.values())
    return {name: tensor / mean for name, tensor in fisher.items()}


def combined(fishers: Sequence[Diagonal], divisor: int) -> dict[str, Tensor]:
    """The sum of `fishers` by `divisor`. By their number, it is the Fisher of an even mixture of their texts."""
    first, *others = fishers
    totals = {name: tensor.clone() for name, tensor in first.items()}
    for fisher in others:
        for name, total in totals.items():
            total.add_(fisher[name])
    return {name: total.div_(divisor) for name, total in totals.items()}


def write(fisher: Diagonal, path: Path, about: Mapping[str, Any]) -> None:
    """One safetensors file, with what it is an estimate of and how as JSON in the one entry of its metadata, "about".
    With several the library would write them in any order: the same Fisher gives the same bytes."""
    tensors = {name: tensor.contiguous() for name, tensor in fisher.items()}
    save_file(tensors, path, metadata={"about": json.dumps(about)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file that `write` wrote, on the CPU, and its metadata."""
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("about", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
