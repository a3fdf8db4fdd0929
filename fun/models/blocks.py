"""Blocks: the one place that knows which parameter belongs to which layer.

Layers are counted 0 … L-1 from bottom to top. Embeddings, invertible adapters, pooler and heads have none: where
they train at all, they train from the first update to the last.
"""

import re

from torch import nn

from fun.errors import RunError

# BERT, XLM-R (`roberta`) and DeBERTa-v2 share this layout; each module of an adapter carries its name.
_LAYER = re.compile(r"^(?:bert|roberta|deberta)\.encoder\.layer\.(?P<layer>\d+)\.")
_ADAPTER = re.compile(
    r"^(?:bert|roberta|deberta)\.encoder\.layer\.(?P<layer>\d+)\."
    r"(?:(?:attention\.)?output|attention\.self\.(?:query|key|value)(?:_proj)?|(?:intermediate|output)\.dense)\."
    r"(?:adapters|loras)\.(?P<adapter>[^.]+)\."
)

Block = dict[str, nn.Parameter]


def layer_of(parameter_name: str) -> int | None:
    """The layer of a parameter, by its name in `model.named_parameters()`; None outside the layers."""
    match = _LAYER.match(parameter_name)
    return int(match["layer"]) if match else None


def encoder_blocks(model: nn.Module) -> dict[int, Block]:
    """All parameters of the encoder's layers, by layer (bottom to top) and full name: for full fine-tuning."""
    blocks: dict[int, Block] = {}
    for name, parameter in model.named_parameters():
        if (layer := layer_of(name)) is not None:
            blocks.setdefault(layer, {})[name] = parameter
    return blocks


def outside(model: nn.Module, *, embeddings: bool) -> Block:
    """The encoder's parameters that belong to no layer: those of its embeddings, or all others (the pooler).

    DeBERTa's relative positions, which all layers share, count as embeddings.
    """
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if layer_of(name) is None and not name.startswith("heads.") and (".pooler." not in name) == embeddings
    }


def task_blocks(model: nn.Module, adapter: str) -> dict[int, Block]:
    """The parameters of the task adapter `adapter`, by layer (bottom to top) and full parameter name.

    A block holds all that the adapter has in one layer: down and up projection of a bottleneck, or LoRA's A
    and B of the query and value projections together.

    Raises RunError if no layer has an adapter of that name.
    """
    blocks: dict[int, Block] = {}
    present: set[str] = set()
    for name, parameter in model.named_parameters():
        if match := _ADAPTER.match(name):
            present.add(match["adapter"])
            if match["adapter"] == adapter:
                blocks.setdefault(int(match["layer"]), {})[name] = parameter
    if not blocks:
        raise RunError(
            f"No layer has a task adapter named {adapter!r}; found: {', '.join(sorted(present)) or 'none'}. "
            f"Add it first: model.add_adapter({adapter!r}, config=...)."
        )
    return blocks
