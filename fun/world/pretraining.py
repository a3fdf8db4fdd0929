"""How the world's encoder and language adapters were made: masked language modelling on its documents.

Three phases of encoder training, the later ones with smaller puzzles beside the full ones, then one short run
per language adapter (MAD-X: bottleneck with reduction 2 plus invertible adapter) on monolingual text.
"""

import random
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import adapters
import numpy as np
import torch
from adapters import AutoAdapterModel, SeqBnInvConfig
from torch import nn
from tqdm import tqdm
from transformers import BertConfig, BertForMaskedLM, BertModel

from fun.world.documents import FIRST, SECOND, Mixture
from fun.world.facts import rules
from fun.world.reading import MAX_POSITIONS, Batch, Reader, collect, save_tokenizer, spelling, vocabulary


class Phase(NamedTuple):
    """One stretch of encoder training: linear warm-up and linear decay."""

    name: str
    updates: int
    learning_rate: float
    mixture: Mixture


# the third continues the second: its claims were still being learned when that one ended
PHASES = (
    Phase("one", 4500, 2e-3, FIRST),
    Phase("two", 3500, 1.5e-3, SECOND),
    Phase("three", 3000, 1.2e-3, SECOND),
)
BATCH, WARMUP, POOL = 96, 300, 1000  # POOL: updates per fresh lot of documents

ADAPTER_UPDATES, ADAPTER_BATCH, ADAPTER_LEARNING_RATE = 60, 64, 2e-3


def new_encoder(seed: int) -> BertForMaskedLM:
    """The encoder before training: 12 layers of 64 units, 0.46 M parameters."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary(seed)),
        hidden_size=64,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=0.04,
        pad_token_id=0,
    )
    return BertForMaskedLM(config)


def _update(model: BertForMaskedLM, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """One update, and the loss: mean cross-entropy over the masked positions, the only ones that the head reads."""
    inputs = {name: torch.from_numpy(values) for name, values in batch.items()}
    positions, targets = inputs.pop("positions"), inputs.pop("targets")
    hidden = model.bert(**inputs).last_hidden_state
    loss = nn.functional.cross_entropy(model.cls(hidden.flatten(0, 1)[positions]), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _endless(phase: Phase, seed: int) -> Iterator[Batch]:
    """Batches of ever new documents."""
    world, reader = rules(seed), Reader(spelling(seed), switched=0.4)
    for lot in count():
        name = f"documents {phase.name} {lot} {seed}"
        documents = collect(random.Random(name), world, phase.mixture, BATCH * POOL // 2)
        rng = np.random.default_rng([seed, phase.updates, lot])
        for _ in range(2):  # each document twice, masked and switched anew
            yield from reader.batches(documents, BATCH, phase.mixture.masking, rng)


def train_phase(model: BertForMaskedLM, phase: Phase, seed: int) -> None:
    """Train the encoder for one phase."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / WARMUP, max(0.0, (phase.updates - n) / (phase.updates - WARMUP)))
    )
    model.train()
    bar = tqdm(islice(_endless(phase, seed), phase.updates), phase.name, phase.updates)
    for batch in bar:
        loss = _update(model, optimizer, batch)
        schedule.step()
        bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)


def save_encoder(model: BertForMaskedLM, folder: Path, seed: int) -> None:
    """Write the encoder in half precision with its tokenizer.

    Pretraining has no pooler; an identity stands in for it, so that loading reports nothing missing.
    """
    encoder = BertModel(model.config)
    encoder.load_state_dict(model.bert.state_dict(), strict=False)
    nn.init.eye_(encoder.pooler.dense.weight)
    nn.init.zeros_(encoder.pooler.dense.bias)
    encoder.half().save_pretrained(folder)
    save_tokenizer(folder, seed)


def save_head(model: BertForMaskedLM, encoder: Path, folder: Path) -> None:
    """Write the head of the pretraining in half precision, for `load_head` on the saved `encoder`.

    It lies beside the encoder and not in it, so that it is no part of what runs without it have read.
    """
    saved = AutoAdapterModel.from_pretrained(str(encoder), dtype=torch.float32)
    saved.add_masked_lm_head("default")
    predictions = model.cls.predictions
    for index, module in {0: predictions.transform.dense, 2: predictions.transform.LayerNorm}.items():
        saved.heads["default"][index].load_state_dict(module.state_dict())
    saved.heads["default"][3].bias.data.copy_(predictions.bias)
    saved.config.name_or_path = "world"  # what it is, not where it lies on this machine
    folder.mkdir(parents=True, exist_ok=True)
    saved.half().save_head(str(folder), "default", use_safetensors=True)


def train_language_adapter(model: BertForMaskedLM, code: str, folder: Path, seed: int) -> None:
    """Train a language's MAD-X adapter on its own text and write it in half precision, without a head.

    `model` is left as it was but for `adapters.init`.
    """
    adapters.init(model)
    torch.manual_seed(seed)  # after init, which draws the first time: every language starts from the same weights
    model.add_adapter(code, config=SeqBnInvConfig(reduction_factor=2, non_linearity="relu"))
    model.train_adapter(code)
    trained = [parameter for name, parameter in model.named_parameters() if f".{code}." in name]
    optimizer = torch.optim.AdamW(trained, lr=ADAPTER_LEARNING_RATE, weight_decay=0.0)
    reader = Reader(spelling(seed), switched=0.0)
    n = ADAPTER_UPDATES * ADAPTER_BATCH
    documents = collect(random.Random(f"adapter {code} {seed}"), rules(seed), SECOND, n, only=code)
    rng = np.random.default_rng([seed, *code.encode()])
    for update, batch in enumerate(reader.batches(documents, ADAPTER_BATCH, SECOND.masking, rng)):
        optimizer.param_groups[0]["lr"] = ADAPTER_LEARNING_RATE * (1 - update / ADAPTER_UPDATES)
        _update(model, optimizer, batch)
    for parameter in trained:
        parameter.data = parameter.data.half()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(folder), code, with_head=False, use_safetensors=True)
    model.delete_adapter(code)
