"""Blocks: the one place that knows which parameter belongs to which layer, 0 … L-1 from bottom to top.

Embeddings, invertible adapters, pooler and heads have none. Imports nothing heavy.
"""

import re
from typing import TYPE_CHECKING

from fun.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor, nn

# BERT, XLM-R (`roberta`) and DeBERTa-v2 share this layout; each module of an adapter carries its name.
_LAYER = re.compile(r"^(?:bert|roberta|deberta)\.encoder\.layer\.(\d+)\.")

_PROJECTION = re.compile(r"\.attention\.(?:self\.(?:key|value)(?:_proj)?|output\.dense)\.")

Block = dict[str, "nn.Parameter"]


def layer_of(parameter_name: str) -> int | None:
    """The layer of a parameter, by its name in `model.named_parameters()`; None outside the layers."""
    match = _LAYER.match(parameter_name)
    return int(match[1]) if match else None


def is_projection(parameter_name: str) -> bool:
    """Whether a parameter is of a layer's key, value or attention output projection, weight or bias."""
    return _PROJECTION.search(parameter_name) is not None


def encoder_blocks(model: "nn.Module") -> dict[int, Block]:
    """All parameters of the encoder's layers, by layer (bottom to top) and full name: for full fine-tuning."""
    blocks: dict[int, Block] = {}
    for name, parameter in model.named_parameters():
        if (layer := layer_of(name)) is not None:
            blocks.setdefault(layer, {})[name] = parameter
    return blocks


def outside(model: "nn.Module", *, embeddings: bool) -> Block:
    """The encoder's parameters outside the layers: its embeddings (DeBERTa's relative positions too), or the pooler."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if layer_of(name) is None and not name.startswith("heads.") and (".pooler." not in name) == embeddings
    }


def task_blocks(model: "nn.Module", adapter: str) -> dict[int, Block]:
    """The parameters of the task adapter `adapter`, by layer (bottom to top) and full parameter name.

    A block is all of it in one layer, such as LoRA's A and B of query and value together. Raises RunError if no layer
    has an adapter of that name.
    """
    part = re.compile(rf"\.(?:adapters|loras)\.{re.escape(adapter)}\.")
    whole = encoder_blocks(model)
    blocks = {layer: {name: p for name, p in block.items() if part.search(name)} for layer, block in whole.items()}
    if not any(blocks.values()):
        raise RunError(
            f"no layer has a task adapter {adapter!r}: add it first, model.add_adapter({adapter!r}, config=…)"
        )
    return {layer: block for layer, block in blocks.items() if block}


def pieces(tensor: "Tensor") -> "tuple[Tensor, ...]":
    """A contiguous tensor as flat views of a few megabytes, so that what is computed from one stays in the cache."""
    parts: tuple[Tensor, ...] = tensor.detach().view(-1).split(2**20)
    return parts
