"""Reads a split as a run would, and gathers what there is to tell of it. Loads the tokenizer, never weights."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerBase

from fun.errors import ConfigError
from fun.inputs import Encoder, source
from fun.inspect.request import Request
from fun.models.encoders import load_tokenizer
from fun.randomness import generator
from fun.tasks.base import Fact, Feature, Row, Task, by_example, share
from fun.training.batches import training_features


class Token(NamedTuple):
    """A token as the model reads it: a piece of the vocabulary and its id.

    `begins`: it begins a word. `asked`: it belongs to the answer, or is to be named; `hides` is then the piece that
    it stands for, where that is another one.
    """

    piece: str
    id: int
    special: bool
    begins: bool
    asked: bool
    hides: str


@dataclass(frozen=True)
class Example:
    """One example: what its task tells of it, then each sequence that the encoder reads, under a heading."""

    title: str
    facts: list[Fact]
    sequences: list[tuple[str, list[Token]]]


@dataclass(frozen=True)
class Report:
    """What is told of a split, and some of its examples."""

    facts: list[Fact]
    examples: list[Example]


def report(request: Request) -> Report:
    """Read the whole split, show a part of it. Raises ConfigError and HubError as the run itself would."""
    config, task = request.config, request.config.task
    with warnings.catch_warnings():
        # Byte fallback, which a converted tokenizer lacks: what is not in the vocabulary is counted.
        warnings.simplefilter("ignore", UserWarning)
        tokenizer = load_tokenizer(config.model.source, config.model.revision)
    rows, features = _read(request, tokenizer)
    groups = by_example(features)
    if request.first >= len(groups):
        raise ConfigError(f"first is {request.first}; this split has {len(groups):,} examples: type a smaller one")
    where = f"{request.dataset}, lang={request.language}, split={request.split}"
    facts = [
        ("run", f"task={task.name} model={config.model.name}"),
        ("data", f"{where}: {len(groups):,} examples"),
        ("from", source(config).key(request.dataset, request.language, request.split)),
        (
            "tokenizer",
            f"{type(tokenizer).__name__} with {len(tokenizer):,} pieces, of {Encoder('encoder', config.model).key()}",
        ),
        ("tokens", _distribution([max(_mask(feature).sum(axis=1).max() for feature in group) for group in groups])),
        *([("windows", _distribution([len(group) for group in groups]))] if task.windows else []),
        ("unknown", _unknown(features, tokenizer)),
        *task.lost(rows, features, tokenizer),
    ]
    random = generator(config.seed, "evaluation", 0)  # one stream for all examples, as in an evaluation
    read = [[feature.reading(random) for feature in group] for group in groups[: request.first + request.count]]
    chosen = range(request.first, len(read))
    return Report(facts, [_example(task, tokenizer, rows, groups[index], read[index]) for index in chosen])


def _read(request: Request, tokenizer: PreTrainedTokenizerBase) -> tuple[Sequence[Row], Sequence[Feature]]:
    """The rows and features of the split, or of the training subset that the run takes."""
    rows = source(request.config).rows(request.dataset, request.language, request.split)
    if request.split == "train":
        return training_features(request.config, rows, tokenizer)
    return rows, request.config.task.encode(rows, tokenizer, request.language)


def _distribution(counts: Sequence[int]) -> str:
    """How a number is distributed over the examples; 95 % of them have the third or less."""
    median, most = np.percentile(counts, [50, 95])
    longest = f"max {max(counts):,} (first={int(np.argmax(counts))})"
    return f"of an example: min {min(counts):,}, median {median:,.1f}, 95 % {most:,.1f}, {longest}"


def _unknown(features: Sequence[Feature], tokenizer: PreTrainedTokenizerBase) -> str:
    unknown = sum(int((feature.inputs["input_ids"] == tokenizer.unk_token_id).sum()) for feature in features)
    tokens = sum(int(feature.inputs["attention_mask"].sum()) for feature in features)
    return f"{share(unknown, tokens)} tokens, read as {tokenizer.unk_token}"


def _example(
    task: Task[Any],
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    features: Sequence[Feature],
    read: Sequence[Feature],
) -> Example:
    """The example of `features`, which are `read` so."""
    sequences: list[list[Token]] = []
    for feature, reading in zip(features, read, strict=True):
        asked = task.asked(reading)
        for mask, ids, true in zip(_mask(feature), _ids(reading), _ids(feature), strict=True):
            sequences.append(list(_tokens(tokenizer, ids[mask], true[mask], asked)))
    headings = (f"sequence {number} of {len(sequences)}" for number in range(1, len(sequences) + 1))
    headed = [(f"{name}: {len(tokens)} tokens", tokens) for name, tokens in zip(headings, sequences, strict=True)]
    return Example(f"example {features[0].example}", task.describe(rows, read), headed)


def _ids(feature: Feature) -> np.ndarray:
    """[sequences, T]."""
    return np.atleast_2d(feature.inputs["input_ids"])


def _mask(feature: Feature) -> np.ndarray:
    """[sequences, T]: what is no padding."""
    return np.atleast_2d(feature.inputs["attention_mask"]).astype(bool)


def _tokens(
    tokenizer: PreTrainedTokenizerBase, ids: np.ndarray, true: np.ndarray, asked: Sequence[int]
) -> Iterator[Token]:
    special, continues = set(tokenizer.all_special_ids), isinstance(tokenizer.backend_tokenizer.model, WordPiece)
    pieces, hidden = (tokenizer.convert_ids_to_tokens(numbers.tolist()) for numbers in (ids, true))
    after_special = True
    for position, (piece, number) in enumerate(zip(pieces, ids.tolist(), strict=True)):
        is_asked, is_special = position in asked, number in special
        begins = not piece.startswith("##") if continues else piece.startswith("▁")
        hides = hidden[position] if number != true[position] else ""
        yield Token(piece, number, is_special, is_special or after_special or begins, is_asked, hides)
        after_special = is_special and not is_asked  # a mask may stand inside a word
