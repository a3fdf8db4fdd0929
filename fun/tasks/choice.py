"""Multiple choice by cause or effect, as in COPA and XCOPA: which of the choices the premise makes plausible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from fun.tasks.base import TASKS, ClassesTask, Fact, Feature, Row, cut_off, encoded, padding, stack

if TYPE_CHECKING:
    from transformers import BatchEncoding
    from transformers import PreTrainedTokenizerBase as Tokenizer

    from fun.models.heads import Head

QUESTIONS = ("cause", "effect")


def prompt(row: Row) -> str:
    """The first segment. The question is English in every language, as in the authors' code."""
    return f"{row['premise']} What was the {row['question']}?"


@TASKS.register("choice")
@dataclass(frozen=True, kw_only=True)
class ChoiceTask(ClassesTask):
    """Each choice as a pair with the prompt, of at most `max_length` tokens, cut longest first; column `label` is
    the number of the right choice."""

    choices: Annotated[tuple[str, ...], Field(min_length=2)]
    """The columns of the choices 0, 1, …"""

    @property
    def texts(self) -> tuple[str, ...]:
        return ("premise", *self.choices)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.choices

    def head(self, *, layers: int, pooler: bool) -> "Head":
        """One softmax over the choices of an item."""
        from fun.models.heads import MultipleChoiceHead

        return MultipleChoiceHead(layers=layers, use_pooler=pooler)

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer") -> list[Feature]:
        """One feature [choices, T] per row, T of its longest choice; raises ConfigError (see Task)."""
        texts = dict.fromkeys(self.texts, str)
        self.check_input(rows, tokenizer, {**texts, "question": QUESTIONS, "label": range(len(self.choices))})
        pairs = tokenizer(
            [prompt(row) for row in rows for _ in self.choices],
            [row[choice] for row in rows for choice in self.choices],
            truncation="longest_first",
            max_length=self.max_length,
        )
        return [
            Feature(example=index, inputs=self._item(pairs, index, tokenizer), labels=(row["label"],))
            for index, row in enumerate(rows)
        ]

    def describe(self, rows: Sequence[Row], features: Sequence[Feature]) -> list[Fact]:
        """The prompt, the choices and the right one."""
        (_, *choices) = super().describe(rows, features)
        return [("prompt", prompt(rows[features[0].example])), *choices]

    def lost(self, rows: Sequence[Row], features: Sequence[Feature], tokenizer: "Tokenizer") -> list[Fact]:
        pairs = [[(prompt(row), row[choice]) for choice in self.choices] for row in rows]
        return cut_off(pairs, features, tokenizer)

    def _item(self, pairs: "BatchEncoding", index: int, tokenizer: "Tokenizer") -> dict[str, np.ndarray]:
        """The pairs of item `index`, padded to the longest one: arrays [choices, T]."""
        first = index * len(self.choices)
        sequences = [encoded(pairs, position, tokenizer) for position in range(first, first + len(self.choices))]
        length = max(len(sequence["input_ids"]) for sequence in sequences)
        pad_id = tokenizer.pad_token_id
        return {
            name: stack([sequence[name] for sequence in sequences], length, padding(name, pad_id), np.int32)
            for name in sequences[0]
        }
