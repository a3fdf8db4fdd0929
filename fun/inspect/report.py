"""Reads a split as a run would, and gathers what there is to tell of it. Loads the tokenizer, never weights."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerBase

from fun.errors import ConfigError
from fun.inputs import Encoder, source
from fun.inspect import Request
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


class Example(NamedTuple):
    """One example: what its task tells of it, then each sequence that the encoder reads, under a heading."""

    title: str
    facts: list[Fact]
    sequences: list[tuple[str, list[Token]]]


class Report(NamedTuple):
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
    lengths = [max(_inputs(each, "attention_mask").sum(axis=1).max() for each in group) for group in groups]
    pieces = f"{type(tokenizer).__name__} with {len(tokenizer):,} pieces"
    facts = [
        ("run", f"task={task.name} model={config.model.name}"),
        ("data", f"{where}: {len(groups):,} examples"),
        ("from", source(config).key(request.dataset, request.language, request.split)),
        ("tokenizer", f"{pieces}, of {Encoder('encoder', config.model).key()}"),
        ("tokens", _distribution(lengths)),
        *([("windows", _distribution([len(group) for group in groups]))] if task.windows else []),
        ("unknown", _unknown(features, tokenizer)),
        *task.lost(rows, features, tokenizer),
    ]
    random = generator(config.seed, "evaluation", 0)  # one stream for all examples, as in an evaluation
    read = [[(each, each.reading(random)) for each in group] for group in groups[: request.first + request.count]]
    return Report(facts, [_example(task, tokenizer, rows, group) for group in read[request.first :]])


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
    task: Task[Any], tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], group: Sequence[tuple[Feature, Feature]]
) -> Example:
    """The example of a `group` of features, each with how it is read."""
    sequences: list[list[Token]] = []
    for feature, reading in group:
        asked, masks = task.asked(reading), _inputs(feature, "attention_mask").astype(bool)
        for mask, ids, true in zip(masks, _inputs(reading, "input_ids"), _inputs(feature, "input_ids"), strict=True):
            sequences.append(list(_tokens(tokenizer, ids[mask], true[mask], asked)))
    headed = [
        (f"sequence {number} of {len(sequences)}: {len(tokens)} tokens", tokens)
        for number, tokens in enumerate(sequences, start=1)
    ]
    return Example(f"example {group[0][0].example}", task.describe(rows, [reading for _, reading in group]), headed)


def _inputs(feature: Feature, name: str) -> np.ndarray:
    """[sequences, T]: one of the encoder's inputs."""
    return np.atleast_2d(feature.inputs[name])


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
