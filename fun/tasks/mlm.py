"""Masked language modelling: what trains a language adapter (MAD-X; Pfeiffer et al., 2020)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from fun.data.base import Source
from fun.data.corpora import MOST_DOCUMENTS, Sample
from fun.errors import ConfigError
from fun.tasks.base import TASKS, Fact, Feature, Features, Logits, Row, Scored, Task, chunks, share

if TYPE_CHECKING:
    import torch

    from fun.tasks.base import Head, RunConfig, Tokenizer

log = logging.getLogger("fun")

HIDDEN, RANDOM = 0.8, 0.1
"""Shares of the masked tokens that are shown as the mask token, and as a random one; the rest is shown as it is."""


@dataclass(frozen=True, eq=False)
class Passage(Feature):
    """`max_length` tokens of running text. Every reading of it is masked anew, as BERT does (Devlin et al., 2019):
    `count` tokens are to be named, and are its labels.

    `special` holds the ids that are never masked nor put in place of another, `ordinary` all others.
    """

    count: int
    mask_id: int
    special: np.ndarray
    ordinary: np.ndarray

    def reading(self, random: "torch.Generator") -> Feature:
        """The passage with `count` of its tokens masked; `masked` [T] is 1 at these."""
        import torch

        ids = self.inputs["input_ids"]
        candidates = np.flatnonzero(~np.isin(ids, self.special))
        order = torch.randperm(len(candidates), generator=random).numpy()
        chosen = np.sort(candidates[order[: self.count]])
        fate = torch.rand(self.count, generator=random).numpy()
        drawn = torch.randint(len(self.ordinary), (self.count,), generator=random).numpy()
        read, masked = ids.copy(), np.zeros_like(ids)
        read[chosen] = np.where(fate < HIDDEN + RANDOM, self.ordinary[drawn], ids[chosen])
        read[chosen[fate < HIDDEN]] = self.mask_id
        masked[chosen] = 1
        return replace(self, inputs={**self.inputs, "input_ids": read, "masked": masked}, labels=tuple(ids[chosen]))


@dataclass(frozen=True, kw_only=True)
class MaskedText(Task[Passage]):
    """Documents packed into passages of `max_length` tokens, some of which are to be named.

    Every passage has the same number of masked tokens, so that the mean over passages is the mean over masked tokens.
    """

    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "loss")
    by_language: ClassVar[bool] = True
    texts = ("text",)

    masking: Annotated[float, Field(gt=0, lt=1)]
    """Share of a passage's tokens that are to be named (Devlin et al., 2019: 0.15)."""

    def head(self, *, layers: int, pooler: bool) -> "Head":
        from fun.models.heads import MaskedLMHead

        return MaskedLMHead()

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer", language: str) -> list[Passage]:
        """Passages [T] of the rows' documents, one behind the other; `example` counts passages.

        A separator stands between documents; the last tokens, too few for a passage, are left out, and so are
        passages with fewer ordinary tokens than are to be masked (text that the tokenizer does not know), whose
        number is logged. Raises ConfigError (see Task), also where no passage is left.
        """
        self.check_input(rows, tokenizer, {"text": str})
        if tokenizer.mask_token_id is None:
            raise ConfigError(
                f"{self.name}: found a tokenizer without a mask token, expected that of a model which was pretrained"
                " by masked language modelling; give another model"
            )
        special = np.array(tokenizer.all_special_ids)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)
        count = max(1, round(self.masking * self.max_length))
        tokens, length = self._tokens(rows, tokenizer), self.max_length - 2
        passages = tokens[: len(tokens) // length * length].reshape(-1, length)
        ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        packed = np.pad(passages, ((0, 0), (1, 1)), constant_values=((0, 0), ends))
        ids = packed[(~np.isin(packed, special)).sum(axis=1) >= count]
        if len(ids) == 0:
            raise ConfigError(
                f"{self.name}: found {len(rows)} documents with too little text for one passage of {self.max_length} "
                "tokens that this tokenizer knows; give more text, or type a smaller task.max_length"
            )
        if left_out := len(packed) - len(ids):
            reason = f"with fewer than {count} tokens that this tokenizer knows"
            log.warning("%s: %d of %d passages left out, %s", self.name, left_out, len(packed), reason)
        shared = {name: np.zeros(self.max_length, np.int32) for name in tokenizer.model_input_names}
        shared["attention_mask"] = np.ones(self.max_length, np.int32)
        masking = count, tokenizer.mask_token_id, special, ordinary
        return [Passage(index, {**shared, "input_ids": each}, (), *masking) for index, each in enumerate(ids)]

    def score(self, rows: Sequence[Row], features: Features, logits: Logits, language: str, dataset: str) -> Scored:
        """Accuracy over the masked tokens in percent, and their mean negative log-likelihood in nats. `logits` holds
        log p of the right and of the likeliest token, [F] each, for every passage. A tie for the likeliest counts as
        right. Raises RunError where one is not finite."""
        self.check_output(logits)
        right, likeliest = (np.stack(factor).astype(np.float64) for factor in zip(*logits, strict=True))
        named, loss = right >= likeliest, -right
        return Scored.of(
            {"accuracy": 100 * float(named.mean()), "loss": float(loss.mean())},
            accuracy=[100 * float(hits.mean()) for hits in named],
            loss=[float(nats.mean()) for nats in loss],
        )

    def describe(self, rows: Sequence[Row], features: Sequence[Passage]) -> list[Fact]:
        return [("masked", f"{len(features[0].labels)} of {features[0].length} tokens")]  # a passage is of no document

    def asked(self, feature: Passage) -> Sequence[int]:
        return [int(position) for position in np.flatnonzero(feature.inputs["masked"])]

    def lost(self, rows: Sequence[Row], features: Sequence[Passage], tokenizer: "Tokenizer") -> list[Fact]:
        total = len(self._tokens(rows, tokenizer))
        kept = len(features) * (self.max_length - 2)
        return [
            ("packed", f"{len(rows):,} documents into {len(features):,} passages of {self.max_length} tokens"),
            ("cut off", f"{share(total - kept, total)} tokens, at the end or without enough known ones"),
        ]

    def _tokens(self, rows: Sequence[Row], tokenizer: "Tokenizer") -> np.ndarray:
        """The tokens of all documents, each with the separator behind it: int32."""
        documents: list[np.ndarray] = []
        for part in chunks([row["text"] for row in rows]):
            # A document may be longer than the encoder reads: verbose=False spares the warning, passages are not.
            encoding = tokenizer(part, add_special_tokens=False, return_attention_mask=False, verbose=False)
            documents += (np.array([*ids, tokenizer.sep_token_id], np.int32) for ids in encoding["input_ids"])
        return np.concatenate(documents)


@TASKS.register("mlm")
@dataclass(frozen=True, kw_only=True)
class MlmTask(MaskedText):
    """Trains a language adapter on one language's text."""

    validation_examples: Annotated[int, Field(ge=1)]
    """Documents held out for selection, and as many for the test."""

    def source(self, config: "RunConfig", rows: Source, text: Callable[[Sample], Source]) -> Source:
        blocks = (config.train.updates or MOST_DOCUMENTS) * config.train.batch_size
        return text(Sample(self.validation_examples, blocks))
