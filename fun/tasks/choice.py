"""Commonsense causal reasoning: trained on COPA, tested on XCOPA."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizerBase

from fun.models.heads import Head, MultipleChoiceHead
from fun.tasks.base import (
    Columns,
    Feature,
    Logits,
    Row,
    Scored,
    check_rows,
    check_tokenizer,
    encoded,
    padding,
    score_labels,
    stack,
)

CHOICES = ("choice1", "choice2")
COLUMNS: Columns = {
    "premise": str,
    "question": ("cause", "effect"),
    "choice1": str,
    "choice2": str,
    "label": range(len(CHOICES)),
}


def prompt(row: Row) -> str:
    """The first segment. The question is English in every language, as in the authors' code."""
    return f"{row['premise']} What was the {row['question']}?"


@dataclass(frozen=True)
class CopaTask:
    """Each choice as a pair with the prompt, of at most `max_length` tokens, cut longest first."""

    max_length: int
    head_layers: int
    use_pooler: bool
    name: ClassVar[str] = "copa"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def head(self) -> Head:
        """One softmax over both choices of an item."""
        return MultipleChoiceHead(layers=self.head_layers, use_pooler=self.use_pooler)

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Feature]:
        """One feature [2, T] per row, T of its longer choice; raises ConfigError (see Task)."""
        check_tokenizer(self.name, tokenizer, self.max_length)
        check_rows(self.name, rows, COLUMNS)
        pairs = tokenizer(
            [prompt(row) for row in rows for _ in CHOICES],
            [row[choice] for row in rows for choice in CHOICES],
            truncation="longest_first",
            max_length=self.max_length,
        )
        return [
            Feature(example=index, inputs=_item(pairs, index, tokenizer), labels=(row["label"],))
            for index, row in enumerate(rows)
        ]

    def score(
        self, rows: Sequence[Row], features: Sequence[Feature], logits: Logits, language: str, dataset: str
    ) -> Scored:
        """Accuracy; `logits` holds one array [2] per row."""
        return score_labels(self.name, rows, logits, classes=len(CHOICES))


def _item(pairs: BatchEncoding, index: int, tokenizer: PreTrainedTokenizerBase) -> dict[str, np.ndarray]:
    """Both pairs of item `index`, padded to the longer one: arrays [2, T]."""
    first = index * len(CHOICES)
    choices = [encoded(pairs, position, tokenizer) for position in range(first, first + len(CHOICES))]
    length = max(len(choice["input_ids"]) for choice in choices)
    return {
        name: stack([choice[name] for choice in choices], length, padding(name, tokenizer.pad_token_id), np.int32)
        for name in choices[0]
    }
