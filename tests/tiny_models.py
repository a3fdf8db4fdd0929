"""Tiny random models of the three real architectures, and language adapters, in their publishers' layouts.

Twelve layers and as many positions as the real ones have, so that conf/model fits; everything else is small.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from adapters import AutoAdapterModel, SeqBnInvConfig
from transformers import (
    AutoConfig,
    BertConfig,
    BertForPreTraining,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from tests import tiny_tokenizers

PIECES = 400
"""Size of the tokenizers' vocabularies, if the texts have so many; the models have embeddings to spare."""

SIZE = {
    "vocab_size": 2 * PIECES,
    "hidden_size": 16,
    "num_hidden_layers": 12,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def bert(folder: Path, texts: Iterable[str]) -> Path:
    """As google-bert/bert-base-multilingual-cased: model.safetensors with pooler and pretraining heads."""
    tiny_tokenizers.wordpiece(texts, folder, PIECES)
    model = _random(BertForPreTraining, BertConfig(**SIZE, max_position_embeddings=512))
    return _saved(model, folder, architecture="BertForMaskedLM")


def xlmr(folder: Path, texts: Iterable[str]) -> Path:
    """As FacebookAI/xlm-roberta-base: model.safetensors with pooler and MLM head."""
    tiny_tokenizers.xlmr(texts, folder, PIECES)
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config = XLMRobertaConfig(**SIZE, **special, max_position_embeddings=514, type_vocab_size=1)
    model = _random(XLMRobertaForMaskedLM, config)
    model.roberta = _random(XLMRobertaModel, config)  # the same with a pooler
    return _saved(model, folder, architecture="XLMRobertaForMaskedLM")


def deberta(folder: Path, texts: Iterable[str]) -> Path:
    """As microsoft/mdeberta-v3-base: pytorch_model.bin alone, in fp16, with the heads of its pretraining inside."""
    tiny_tokenizers.deberta(texts, folder, PIECES)
    config = {
        **SIZE,
        "model_type": "deberta-v2",
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 8,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "pos_att_type": "p2c|c2p",
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "layer_norm_eps": 1e-7,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = _random(DebertaV2Model, DebertaV2Config(**{k: v for k, v in config.items() if k != "model_type"}))
    weights = {f"deberta.{name}": tensor for name, tensor in model.state_dict().items()}
    hidden = SIZE["hidden_size"]
    heads = {
        "lm_predictions.lm_head.dense.weight": torch.zeros(hidden, hidden),
        "lm_predictions.lm_head.bias": torch.zeros(SIZE["vocab_size"]),
        "mask_predictions.dense.weight": torch.zeros(hidden, hidden),
        "mask_predictions.classifier.weight": torch.zeros(1, hidden),
    }
    torch.save({name: tensor.half() for name, tensor in (weights | heads).items()}, folder / "pytorch_model.bin")
    return folder


def e5small(folder: Path, texts: Iterable[str]) -> Path:
    """As intfloat/multilingual-e5-small: a BERT alone, with XLM-R's tokenizer, which pads otherwise than its config says."""
    tiny_tokenizers.xlmr(texts, folder, PIECES)
    model = _random(BertModel, BertConfig(**SIZE, max_position_embeddings=512, pad_token_id=0))
    return _saved(model, folder, architecture="BertModel", tokenizer_class="XLMRobertaTokenizer")


MODELS = {
    "mbert": ("google-bert/bert-base-multilingual-cased", bert),
    "xlmr": ("FacebookAI/xlm-roberta-base", xlmr),
    "mdeberta": ("microsoft/mdeberta-v3-base", deberta),
}
"""conf/model's name -> the id on the hub, and what builds its tiny double: of the papers' models."""

E5SMALL = "intfloat/multilingual-e5-small"


def language_adapter(
    folder: Path, encoder: Path, language: str, *, nonlinearity: str = "relu", head: bool = False
) -> Path:
    """A language adapter as AdapterHub publishes it: README.md, adapter_config.json, pytorch_adapter.bin.

    With `head` an MLM head lies beside it, as for mBERT's tr and vi. Its random weights are large, so that
    swapping language adapters shows in a tiny model's output.
    """
    model = AutoAdapterModel.from_config(AutoConfig.from_pretrained(encoder))
    model.add_adapter(language, config=SeqBnInvConfig(reduction_factor=2, non_linearity=nonlinearity))
    if head:
        model.add_masked_lm_head(language)
    torch.manual_seed(sum(language.encode()))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if f"adapters.{language}." in name:
                parameter.normal_(std=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(folder), language, with_head=head)
    description = folder / "adapter_config.json"
    hub = next((Path(id).name for id, _ in MODELS.values() if id in encoder.as_posix()), encoder.name)
    described = json.loads(description.read_text(encoding="utf-8"))
    described |= {"version": "0.1.1", "type": "text_lang", "model_name": hub}
    description.write_text(json.dumps(described, indent=2), encoding="utf-8")
    (folder / "README.md").write_text(f"---\ntags:\n- adapter-transformers\n---\n# {language}\n", encoding="utf-8")
    return folder


def _random(kind: type[PreTrainedModel], config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return kind(config)


def _saved(model: PreTrainedModel, folder: Path, *, architecture: str, **more: str) -> Path:
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    described = json.loads(path.read_text(encoding="utf-8")) | {"architectures": [architecture], **more}
    path.write_text(json.dumps(described, indent=2), encoding="utf-8")
    return folder
