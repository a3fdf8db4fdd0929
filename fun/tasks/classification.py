"""Natural language inference: trained on MNLI, tested on XNLI."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from fun.models.heads import ClassificationHead, Head
from fun.tasks.base import (
    CHUNK,
    Columns,
    Feature,
    Logits,
    Row,
    Scored,
    check_rows,
    check_tokenizer,
    encoded,
    score_labels,
)

LABELS = range(3)
"""Entailment, neutral, contradiction, as in XNLI."""

COLUMNS: Columns = {"premise": str, "hypothesis": str, "label": LABELS}


@dataclass(frozen=True)
class MnliTask:
    """Premise and hypothesis as one pair of at most `max_length` tokens, cut longest first."""

    max_length: int
    head_layers: int
    use_pooler: bool
    name: ClassVar[str] = "mnli"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def head(self) -> Head:
        """One softmax over the three labels."""
        return ClassificationHead(num_labels=len(LABELS), layers=self.head_layers, use_pooler=self.use_pooler)

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Feature]:
        """One feature [T] per row; raises ConfigError (see Task)."""
        check_tokenizer(self.name, tokenizer, self.max_length)
        check_rows(self.name, rows, COLUMNS)
        features: list[Feature] = []
        for first in range(0, len(rows), CHUNK):
            part = rows[first : first + CHUNK]
            pairs = tokenizer(
                [row["premise"] for row in part],
                [row["hypothesis"] for row in part],
                truncation="longest_first",
                max_length=self.max_length,
            )
            features += (
                Feature(example=first + index, inputs=encoded(pairs, index, tokenizer), labels=(row["label"],))
                for index, row in enumerate(part)
            )
        return features

    def score(
        self, rows: Sequence[Row], features: Sequence[Feature], logits: Logits, language: str, dataset: str
    ) -> Scored:
        """Accuracy; `logits` holds one array [3] per row."""
        return score_labels(self.name, rows, logits, classes=len(LABELS))
