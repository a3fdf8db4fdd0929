"""Tagging, as a toy: whether each word has an odd number of letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fun.tasks.base import TASKS, Feature, Logits, Row, Scored, Task, encoded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from fun.models.heads import Head, Predictive


@TASKS.register("parity")
@dataclass(frozen=True, kw_only=True)
class ParityTask(Task[Feature]):
    """One sentence of at most `max_length` tokens; its words are tagged at their first tokens."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    column: str
    """The column that is read."""

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.column,)

    def head(self, *, layers: int, pooler: bool) -> "Head":
        return WordsHead()

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerBase", language: str) -> list[Feature]:
        self.check_input(rows, tokenizer, {self.column: str})
        sentences = [row[self.column].split() for row in rows]
        encoding = tokenizer(sentences, is_split_into_words=True, truncation=True, max_length=self.max_length)
        features = []
        for example, sentence in enumerate(sentences):
            words = encoding.word_ids(example)
            first = [word is not None and word not in words[:at] for at, word in enumerate(words)]
            tags = tuple(len(sentence[word]) % 2 for word in dict.fromkeys(words) if word is not None)
            inputs = encoded(encoding, example, tokenizer) | {"words": np.array(first, dtype=np.int32)}
            features.append(Feature(example, inputs, tags))
        return features

    def score(
        self, rows: Sequence[Row], features: Sequence[Feature], logits: Logits, language: str, dataset: str
    ) -> Scored:
        tags = [factor.argmax(axis=1) for (factor,) in logits]
        right = [tags[i] == np.array(feature.labels) for i, feature in enumerate(features)]
        return Scored(
            metrics={"accuracy": 100 * float(np.concatenate(right).mean())},
            predictions=[{"example": i, "right": int(words.sum())} for i, words in enumerate(right)],
        )


@dataclass(frozen=True)
class WordsHead:
    """One linear layer over the tokens that `words` marks."""

    name: str = "tagging"
    over: str = "labels"
    unit: str = "labels"
    saved: bool = True

    def add_to(self, model: Any, name: str) -> None:
        model.add_tagging_head(name, num_labels=2, layers=1)

    def logits(self, outputs: Any, batch: Mapping[str, "Tensor"]) -> tuple["Tensor", ...]:
        from fun.models.heads import labelled

        return (labelled(outputs.logits, batch["words"])[0],)

    def predictive(self, outputs: Any, batch: Mapping[str, "Tensor"]) -> "Predictive":
        from fun.models.heads import Predictive, labelled

        logits, present = labelled(outputs.logits, batch["words"])
        return Predictive(logits.log_softmax(dim=-1), present)
