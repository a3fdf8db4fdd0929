"""The files that are read of an encoder, its tokenizer and a language adapter. Imports nothing heavy."""

import json
from pathlib import Path

from safetensors import SafetensorError

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The weights' file: the first of these that a repository has. The second is a pickle, read with weights_only."""

VOCABULARIES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spm.model")
"""Any of them makes a tokenizer."""

TOKENIZER = (*VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

FISHER = "fisher/fisher.safetensors"
"""What a task=fisher run makes, below its folder."""

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter.safetensors", "pytorch_adapter.bin")
"""One of these: the second is AdapterHub's, a pickle, which the adapters library reads with weights_only. A head that
was published beside the adapter (mBERT's tr and vi) is neither downloaded nor loaded."""

UNREADABLE = (SafetensorError, OSError, RuntimeError, ValueError)
"""What transformers, adapters and safetensors raise for files that are cut off, or that do not belong together."""


def encoder_files(folder: Path) -> list[Path]:
    """What is read of an encoder's folder: configuration, tokenizer, and its weights in one file or in shards."""
    described = [path for name in (CONFIG, *TOKENIZER) if (path := folder / name).is_file()]
    for whole, index in ((folder / name, folder / f"{name}.index.json") for name in WEIGHTS):
        if whole.is_file():
            return [*described, whole]
        if index.is_file():
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return [*described, index, *(folder / name for name in sorted(set(shards)))]
    return described


def adapter_files(folder: Path) -> list[Path]:
    """What is read of a language adapter's folder."""
    weights = [path for name in ADAPTER_WEIGHTS if (path := folder / name).is_file()][:1]
    return [path for path in (folder / ADAPTER_CONFIG, *weights) if path.is_file()]
