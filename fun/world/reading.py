"""How the encoder reads: its tokenizer, and documents as token ids, some in another language's words, some masked.

Documents are kept as numbers, so that code-switching and masking are array operations, drawn anew whenever a
document is read. The tokenizer is WordPiece over whole words, case suffixes and punctuation, without a trainer.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from fun.world.documents import Mixture, segments
from fun.world.facts import Rules
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE, forms

SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
PAD, _, CLS, SEP, MASK = range(len(SPECIAL))  # their ids
MAX_POSITIONS = 128

SWITCHED_WORDS = 0.4  # share of words in a code-switched document
MAX_WORDS = 69  # with [CLS] and two [SEP] a document has at most 72 tokens
DOCUMENT = np.dtype(
    [
        ("concepts", "i2", MAX_WORDS),  # -1 is padding
        ("stresses", "i1", MAX_WORDS),
        ("language", "i1"),
        ("first", "i2"),  # words of the first segment
        ("length", "i2"),  # words in all
    ]
)

Batch = dict[str, NDArray[np.int64]]
"""The encoder's inputs [B, T], the `positions` that are masked (flat), and their ids as `targets`."""


def vocabulary(seed: int) -> dict[str, int]:
    """Token -> id: the special tokens, then every form once, language by language."""
    words = [word for code in LANGUAGES for word in forms(seed)[code] if word]
    return {token: number for number, token in enumerate(dict.fromkeys([*SPECIAL.values(), *words]))}


def spelling(seed: int) -> NDArray[np.int64]:
    """Token id of every concept in every language [languages, concepts]; -1 where a language has no form."""
    ids = vocabulary(seed)
    return np.array([[ids[word] if word else -1 for word in forms(seed)[code]] for code in LANGUAGES])


def save_tokenizer(folder: Path, seed: int) -> None:
    """Write tokenizer.json and its configuration for `AutoTokenizer.from_pretrained(folder)`."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary(seed), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **SPECIAL,
    ).save_pretrained(folder)


def collect(rng: random.Random, world: Rules, mixture: Mixture, n: int, only: str | None = None) -> NDArray[np.void]:
    """n random documents [n] of the type `DOCUMENT`, in languages by weight or in one language."""
    weights = [LANGUAGES_BY_CODE[code].weight for code in LANGUAGES]
    documents = np.zeros(n, DOCUMENT)
    documents["concepts"] = -1
    for document, code in zip(documents, [only] * n if only else rng.choices(LANGUAGES, weights, k=n), strict=True):
        left, right = segments(rng, world, code, mixture)
        left = left[: MAX_WORDS - len(right)] if len(right) < len(left) else left
        words = (left + right)[:MAX_WORDS]
        document["concepts"][: len(words)], document["stresses"][: len(words)] = zip(*words, strict=True)
        document["language"], document["first"], document["length"] = LANGUAGES.index(code), len(left), len(words)
    return documents


class Reader(NamedTuple):
    """Reads documents: spells concepts as token ids, switches code, masks words and forms batches."""

    spelling: NDArray[np.int64]
    switched: float  # share of documents with words of other languages

    def batches(
        self, documents: NDArray[np.void], size: int, masking: Sequence[float], rng: np.random.Generator
    ) -> Iterator[Batch]:
        """Every document once, in batches of like length and random order; the rest is left out."""
        noise = rng.permutation(len(documents))
        order = noise[np.argsort(documents["length"][noise], kind="stable")]
        for start in rng.permutation(len(documents) // size) * size:
            yield self._batch(documents[order[start : start + size]], masking, rng)

    def _spelled(self, documents: NDArray[np.void], rng: np.random.Generator) -> NDArray[np.int64]:
        """Token ids of the words [B, words], some in the words of another language."""
        concepts = documents["concepts"][:, : documents["length"].max()]
        own = np.broadcast_to(documents["language"][:, None], concepts.shape).astype(np.int64)
        foreign = np.where(own == 0, rng.integers(1, len(self.spelling), concepts.shape), 0)
        switched = (rng.random(len(documents)) < self.switched)[:, None]
        switched = switched & (rng.random(concepts.shape) < SWITCHED_WORDS)
        ids: NDArray[np.int64] = self.spelling[np.where(switched, foreign, own), concepts]
        # a case suffix has no counterpart in most languages: it stays
        return np.where(ids < 0, self.spelling[own, concepts], ids)

    def _batch(self, documents: NDArray[np.void], masking: Sequence[float], rng: np.random.Generator) -> Batch:
        words = self._spelled(documents, rng)
        first, length = documents["first"][:, None], documents["length"][:, None]
        place = np.arange(words.shape[1])
        inside = place < length
        hidden = (rng.random(words.shape) < np.array(masking)[documents["stresses"][:, : words.shape[1]]]) & inside

        ids = np.full((len(documents), words.shape[1] + 3), PAD)
        flat = ids.reshape(-1)  # a view
        at = np.arange(0, ids.size, ids.shape[1])[:, None] + 1 + place + (place >= first)  # where in it the words go
        ids[:, 0] = CLS
        flat[at[inside]] = words[inside]
        np.put_along_axis(ids, 1 + first, SEP, axis=1)
        np.put_along_axis(ids, 2 + length, SEP, axis=1)
        positions, targets = at[hidden], words[hidden]
        fate = rng.random(len(positions))
        random_ids = rng.choice(self.spelling[self.spelling >= 0], len(positions))
        flat[positions] = np.where(fate < 0.8, MASK, np.where(fate < 0.9, random_ids, targets))
        columns = np.arange(ids.shape[1])
        read = columns <= 2 + length
        return {
            "input_ids": ids,
            "token_type_ids": (read & (columns > 1 + first)).astype(np.int64),
            "attention_mask": read.astype(np.int64),
            "positions": positions,
            "targets": targets,
        }
