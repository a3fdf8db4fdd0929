"""Encoders and language adapters, loaded through transformers and adapters."""

from pathlib import Path
from typing import Any

import torch
from adapters import AutoAdapterModel
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from fun import world
from fun.errors import NotBuilt


def load_encoder(source: str) -> tuple[Any, PreTrainedTokenizerBase]:
    """The encoder in fp32, without heads, and its fast tokenizer. `source` is a model's `source` field."""
    if source != "world":
        raise NotBuilt(f"{source}: this version loads only the miniature world's encoder: type model=micro")
    folder = str(world.encoder_folder())
    model = AutoAdapterModel.from_pretrained(folder, dtype=torch.float32)
    # Every saved adapter names its encoder: by what it is, not by where it lies on this machine.
    model.config.name_or_path = source
    return model, AutoTokenizer.from_pretrained(folder)


def language_adapter_folder(source: str, language: str) -> Path:
    """Where the language adapter of `language` lies, for the encoder `source`."""
    if source != "world":
        raise NotBuilt(f"{source}: this version has language adapters only for model=micro")
    return world.language_adapter_folder(language)
