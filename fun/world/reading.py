"""How the encoder reads documents: as token ids, some in another language's words, some masked.

Documents are kept as numbers, so that code-switching and masking are array operations, drawn anew whenever a
document is read.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fun.world.documents import Masking, Mixture, segments
from fun.world.facts import Rules
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE
from fun.world.tokenizer import CLS, MASK, PAD, SEP

SWITCHED_WORDS = 0.4  # share of words in a code-switched document
MAX_WORDS = 69  # with [CLS] and two [SEP] a document has at most 72 tokens

Batch = dict[str, NDArray[np.int64]]
"""The encoder's inputs [B, T], the `positions` that are masked (flat), and their ids as `targets`."""


@dataclass(frozen=True)
class Documents:
    """n documents as arrays: `concepts` and `stresses` [n, MAX_WORDS] (concept -1 is padding), `language`,
    words of the first segment `first` and words in all `length` [n]."""

    concepts: NDArray[np.int16]
    stresses: NDArray[np.int8]
    language: NDArray[np.int8]
    first: NDArray[np.int16]
    length: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.length)


def collect(rng: random.Random, world: Rules, mixture: Mixture, n: int, only: str | None = None) -> Documents:
    """n random documents, in languages by weight or in one language."""
    weights = [LANGUAGES_BY_CODE[code].weight for code in LANGUAGES]
    codes = [only] * n if only else rng.choices(LANGUAGES, weights, k=n)
    concepts = np.full((n, MAX_WORDS), -1, np.int16)
    stresses = np.zeros((n, MAX_WORDS), np.int8)
    first, length = np.zeros(n, np.int16), np.zeros(n, np.int16)
    for row, code in enumerate(codes):
        left, right = segments(rng, world, code, mixture)
        left = left[: MAX_WORDS - len(right)] if len(right) < len(left) else left
        words = (left + right)[:MAX_WORDS]
        concepts[row, : len(words)] = [concept for concept, _ in words]
        stresses[row, : len(words)] = [stress for _, stress in words]
        first[row], length[row] = len(left), len(words)
    language = np.array([LANGUAGES.index(code) for code in codes], np.int8)
    return Documents(concepts, stresses, language, first, length)


@dataclass(frozen=True)
class Reader:
    """Reads documents: spells concepts as token ids, switches code, masks words and forms batches.

    `spelling` [languages, concepts] holds token ids; `switched` is the share of documents with words of other
    languages.
    """

    spelling: NDArray[np.int64]
    switched: float

    def batches(self, documents: Documents, size: int, masking: Masking, rng: np.random.Generator) -> Iterator[Batch]:
        """Every document once, in batches of like length and random order; the rest is left out."""
        noise = rng.permutation(len(documents))
        order = noise[np.argsort(documents.length[noise], kind="stable")]
        starts = rng.permutation(len(documents) // size) * size
        for start in starts:
            yield self._batch(documents, order[start : start + size], masking, rng)

    def _spelled(self, documents: Documents, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Token ids of the words [B, words], some in the words of another language."""
        concepts = documents.concepts[rows, : documents.length[rows].max()]
        own = np.broadcast_to(documents.language[rows][:, None], concepts.shape).astype(np.int64)
        foreign = np.where(own == 0, rng.integers(1, len(self.spelling), concepts.shape), 0)
        switched = (rng.random(len(rows)) < self.switched)[:, None]
        switched = switched & (rng.random(concepts.shape) < SWITCHED_WORDS)
        ids = self.spelling[np.where(switched, foreign, own), concepts]
        # a case suffix has no counterpart in most languages: it stays
        return np.where(ids < 0, self.spelling[own, concepts], ids)

    def _batch(
        self, documents: Documents, rows: NDArray[np.int64], masking: Masking, rng: np.random.Generator
    ) -> Batch:
        words = self._spelled(documents, rows, rng)
        first, length = documents.first[rows][:, None], documents.length[rows][:, None]
        place = np.arange(words.shape[1])[None, :]
        inside = place < length
        hidden = (rng.random(words.shape) < np.array(masking)[documents.stresses[rows, : words.shape[1]]]) & inside

        column = np.broadcast_to(1 + place + (place >= first), words.shape)
        row = np.broadcast_to(np.arange(len(rows))[:, None], words.shape)
        ids = np.full((len(rows), words.shape[1] + 3), PAD)
        ids[:, 0] = CLS
        ids[row[inside], column[inside]] = words[inside]
        ids[np.arange(len(rows)), 1 + first[:, 0]] = SEP
        ids[np.arange(len(rows)), 2 + length[:, 0]] = SEP
        positions = (row * ids.shape[1] + column)[hidden]
        targets = words[hidden]
        fate = rng.random(len(positions))
        random_ids = rng.choice(self.spelling[self.spelling >= 0], len(positions))
        ids.reshape(-1)[positions] = np.where(fate < 0.8, MASK, np.where(fate < 0.9, random_ids, targets))
        columns = np.arange(ids.shape[1])[None, :]
        return {
            "input_ids": ids,
            "token_type_ids": ((columns > 1 + first) & (columns <= 2 + length)).astype(np.int64),
            "attention_mask": (columns <= 2 + length).astype(np.int64),
            "positions": positions,
            "targets": targets,
        }
