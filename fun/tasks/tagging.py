"""Tagging of words, with parts of speech or with entities, as XTREME (Hu et al., 2020) or as XGLUE's authors do it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from fun import metrics
from fun.errors import ConfigError, RunError
from fun.tasks.base import ASIDE, TASKS, Fact, Feature, Features, Logits, Row, Scored, Task, by_example, share
from fun.tasks.classification import check_numbers

if TYPE_CHECKING:
    from fun.tasks.base import Head, RunConfig, Tokenizer


@TASKS.register("tagging")
@dataclass(frozen=True, kw_only=True)
class TaggingTask(Task[Feature]):
    """Sentences of words, each with a tag."""

    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy")

    words: str
    """The column with the words of a sentence."""
    tags: str
    """The column with the numbers of their tags."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """The names of the tags 0, 1, …: where a file has names for numbers, they are these."""
    spans: Literal["iob2", "runs"]
    """Of what F1 is: iob2: entities; runs: runs of equal tags (fun/metrics/tag_f1)."""
    overflow: Literal["continue", "cut"] = "continue"
    """What becomes of a sentence of more than `max_length` tokens. continue: it goes on in a further example (XTREME);
    cut: words behind the last token are not read, and count as tagged O (XGLUE)."""
    bare_scripts: tuple[str, ...] = ()
    """Languages whose words are not set off by blanks, so that pieces are looked up without SentencePiece's "▁"."""
    beside: tuple[Literal["precision", "recall"], ...] = field(default=(), metadata=ASIDE)
    """Metrics to report beside F1 and accuracy: of the same spans."""

    @property
    def windows(self) -> bool:
        return self.overflow == "continue"

    @property
    def reported(self) -> tuple[str, ...]:
        return (*self.metrics, *self.beside)

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.words,)

    def check(self, config: "RunConfig") -> None:
        check_numbers(self.labels, (self.training_set, *self.test_sets))

    def head(self, *, layers: int, pooler: bool) -> "Head":
        from fun.models.heads import TaggingHead

        return TaggingHead(num_labels=len(self.labels))

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer", language: str) -> list[Feature]:
        """The parts of each sentence from left to right, or its start alone; raises ConfigError (see Task).

        Every word is tokenised alone, and `words` [T] marks its first piece, which carries its tag. A word without
        pieces, or with more than fit, is read as the unknown token. Behind the words stand as many separators as
        stand between two texts: XLM-R has two there, and so has XTREME.
        """
        self.check_input(rows, tokenizer, {self.words: list, self.tags: list})
        self._check_tags(rows)
        separators = tokenizer.num_special_tokens_to_add(pair=True) - 2
        room = self.max_length - 1 - separators
        pieces = self._pieces(rows, tokenizer, room, bare=language in self.bare_scripts)
        parts_of = cut if self.overflow == "continue" else start
        features: list[Feature] = []
        for example, row in enumerate(rows):
            tags = iter(row[self.tags])
            for part in parts_of([pieces[word] for word in row[self.words]], room):
                ids = [tokenizer.cls_token_id, *chain(*part), *[tokenizer.sep_token_id] * separators]
                inputs = {name: np.zeros(len(ids), np.int32) for name in (*tokenizer.model_input_names, "words")}
                inputs["input_ids"][:], inputs["attention_mask"][:] = ids, 1
                inputs["words"][list(accumulate(map(len, part[:-1]), initial=1))] = 1
                features.append(Feature(example, inputs, tuple(next(tags) for _ in part)))
        return features

    def score(self, rows: Sequence[Row], features: Features, logits: Logits, language: str, dataset: str) -> Scored:
        """F1 of spans, and accuracy; `logits` holds one array [words, tags] per feature. The parts of a sentence are
        joined first: a span over a cut is one. A word's tag is the most probable one (ties: the lowest), or O where it
        was cut off. Raises RunError where words were lost otherwise."""
        self.check_output(logits)
        predicted: list[list[str]] = [[] for _ in rows]
        for feature, (factor,) in zip(features, logits, strict=True):
            predicted[feature.example] += (self.labels[number] for number in factor.argmax(axis=1))
        for index, (row, tags) in enumerate(zip(rows, predicted, strict=True)):
            if self.overflow == "cut":
                tags += ["O"] * (len(row[self.words]) - len(tags))
            if len(tags) != len(row[self.words]):
                raise RunError(
                    f"{self.name}: row {index} of {dataset} ({language}) has {len(row[self.words])} words, and the"
                    f" model's output {len(tags)} tags for it: words were lost on the way; report this as a bug"
                )
        gold = [[self.labels[number] for number in row[self.tags]] for row in rows]
        scores = metrics.load("tag_f1", self.spans).compute(predictions=predicted, references=gold)
        return Scored.of({name: scores[name] for name in self.reported}, prediction=predicted, label=gold)

    def describe(self, rows: Sequence[Row], features: Features) -> list[Fact]:
        row = rows[features[0].example]
        tagged = zip(row[self.words], row[self.tags], strict=True)
        facts = [("words", " ".join(f"{word}/{self.labels[number]}" for word, number in tagged))]
        if len(features) > 1:
            facts.append(("cut", f"into parts of {', '.join(str(len(part.labels)) for part in features)} words"))
        return facts

    def asked(self, feature: Feature) -> Sequence[int]:
        """The first piece of each word."""
        return [int(position) for position in np.flatnonzero(feature.inputs["words"])]

    def lost(self, rows: Sequence[Row], features: Features, tokenizer: "Tokenizer") -> list[Fact]:
        tagged = [feature.inputs["input_ids"][self.asked(feature)] for feature in features]
        unknown = sum(int((ids == tokenizer.unk_token_id).sum()) for ids in tagged)
        if self.overflow == "cut":
            lost = [len(rows[feature.example][self.words]) - len(feature.labels) for feature in features]
            cut_off = f"{share(sum(map(bool, lost)), len(lost))} sentences lose words, {sum(lost):,} in all"
        else:
            parts = sum(len(group) > 1 for group in by_example(features))
            cut_off = f"{share(parts, len(rows))} sentences go on in a further example; no word is lost"
        return [
            ("words", f"{share(unknown, sum(map(len, tagged)))} are read as {tokenizer.unk_token} from the start"),
            ("cut", cut_off),
        ]

    def _check_tags(self, rows: Sequence[Row]) -> None:
        """Raise ConfigError unless there are words, and each has a tag."""
        for index, row in enumerate(rows):
            if not row[self.words] or len(row[self.words]) != len(row[self.tags]):
                found = f"{len(row[self.words])} {self.words} and {len(row[self.tags])} {self.tags}"
                raise ConfigError(f"{self.name}: row {index} has {found}, expected as many, and one at least")
            if wrong := [number for number in row[self.tags] if number not in range(len(self.labels))]:
                raise ConfigError(
                    f"{self.name}: row {index} has the tag {wrong[0]!r}, expected 0 to {len(self.labels) - 1};"
                    " check the data set and its split"
                )

    def _pieces(self, rows: Sequence[Row], tokenizer: "Tokenizer", room: int, bare: bool) -> dict[str, list[int]]:
        """The pieces of each word of `rows`, at least one and at most `room`."""
        words = list(dict.fromkeys(chain.from_iterable(row[self.words] for row in rows)))
        encoding = tokenizer(words, add_special_tokens=False, return_attention_mask=False, verbose=False)
        every = [bare_pieces(ids, tokenizer) for ids in encoding["input_ids"]] if bare else encoding["input_ids"]
        unknown = [tokenizer.unk_token_id]
        return {word: ids if 1 <= len(ids) <= room else unknown for word, ids in zip(words, every, strict=True)}


def bare_pieces(ids: Sequence[int], tokenizer: "Tokenizer") -> list[int]:
    """A word's pieces without "▁", as Unicoder reads Thai and Chinese: "▁" is no piece, and "▁的" is "的"."""
    pieces = (piece.replace("▁", "") for piece in tokenizer.convert_ids_to_tokens(ids))
    return [tokenizer.convert_tokens_to_ids(piece) for piece in pieces if piece]


def start(words: Sequence[Sequence[int]], room: int) -> list[list[Sequence[int]]]:
    """The words of a sentence, in one part, until `room` pieces are full; of the last of them perhaps the start."""
    before = accumulate(map(len, words), initial=0)
    return [[pieces[: room - used] for pieces, used in zip(words, before, strict=False) if used < room]]


def cut(words: Sequence[Sequence[int]], room: int) -> list[list[Sequence[int]]]:
    """The words of a sentence in parts of at most `room` pieces, each part as long as it can be."""
    parts: list[list[Sequence[int]]] = [[]]
    length = 0
    for pieces in words:
        if length + len(pieces) > room:
            parts.append([])
            length = 0
        parts[-1].append(pieces)
        length += len(pieces)
    return parts
