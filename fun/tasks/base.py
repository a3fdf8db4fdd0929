"""What every task is made of: rows, features, batches of tensors, scores."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from fun import metrics
from fun.errors import ConfigError, RunError
from fun.registry import Registry

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedTokenizerBase

    from fun.config import RunConfig
    from fun.models.heads import Head

TASKS = Registry("task", by="kind")
"""The kinds of task. A named task is a yaml of conf/task, which says its kind."""

DECLARED = ("training_set", "test_sets", "world")
"""The fields of a task that name its data sets."""

CHUNK = 1000
"""Rows tokenised at once: a tokenizer's output for a whole training set would take gigabytes."""

Row = Mapping[str, Any]
"""One example in its publisher's columns."""

Columns = Mapping[str, type | Sequence[Any]]
"""What a task reads of a row: the type of a column, or all its values."""

Logits = Sequence[tuple[np.ndarray, ...]]
"""The head's output for each feature: one array of logits per factor of its predictive distribution."""

Fact = tuple[str, str]
"""Something to tell a person of examples: a label of a word or two, and text in whatever script."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One input of the encoder, not padded to any batch.

    `example` is the index of its row. `inputs` maps the encoder's argument names to int32 arrays [T], or
    [choices, T] for multiple choice. `labels` holds one class per factor, as many as the example has.
    """

    example: int
    inputs: dict[str, np.ndarray]
    labels: tuple[int, ...]

    def reading(self, random: "torch.Generator") -> "Feature":
        """The input as it is read once, in one update or one evaluation: itself, unless the task masks anew."""
        return self

    @property
    def length(self) -> int:
        """Tokens of its longest sequence, T."""
        return int(self.inputs["input_ids"].shape[-1])

    @property
    def slots(self) -> int:
        """Token slots it fills: T, or choices · T."""
        return int(self.inputs["input_ids"].size)

    @property
    def tokens(self) -> int:
        """Tokens that are read: the slots without padding."""
        return int(self.inputs["attention_mask"].sum())


@dataclass(frozen=True)
class Scored:
    """Metrics in percent, unrounded; `predictions[i]` holds what row i gave to them."""

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


F = TypeVar("F", bound=Feature)


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[F]):
    """A downstream task: its data sets, how rows become tokens, which head reads them, how its output is scored.

    A class is a kind of task, whose `metrics` are the names that it always reports; the first one selects the
    checkpoint. Its fields are those of conf/task.
    """

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    classifies: ClassVar[bool] = False
    """Whether its head reads what the model's `pooler` and `head_layers` say."""
    windows: ClassVar[bool] = False
    """Whether one row may become several features."""
    by_language: ClassVar[bool] = False
    """Whether it trains an adapter for the run's `lang`, on running text."""

    name: str
    """What the task is called, in folders and tables."""
    max_length: Annotated[int, Field(ge=8)]
    """Tokens of the longest sequence, special ones included."""
    training_set: str
    """The data set of conf/datasets that it is trained and selected on."""
    test_sets: tuple[str, ...]
    """The data sets of conf/datasets that it is tested on."""
    world: str | None
    """The data set of the miniature world that stands for all of these; null: it has none."""

    @property
    @abstractmethod
    def texts(self) -> tuple[str, ...]:
        """The columns of its rows that are running text."""

    def active(self) -> dict[str, Any]:
        """The fields that say what is computed. Data sets are not among them: their content is, as inputs."""
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name not in DECLARED}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def check(self, config: "RunConfig") -> None:
        """Raise ConfigError for fields that do not fit together, or not to the run."""

    @abstractmethod
    def head(self, *, layers: int, pooler: bool) -> "Head":
        """The prediction head, whose predictive distribution the loss and the Fisher estimators read.

        A head over classes has `layers` linear layers and reads the pooler's output or the first token's state.
        """

    @abstractmethod
    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerBase") -> list[F]:
        """The features of `rows`, in their order, the same for training and evaluation.

        Raises ConfigError for rows, a length or a tokenizer that do not fit the task.
        """

    @abstractmethod
    def score(self, rows: Sequence[Row], features: Sequence[F], logits: Logits, language: str, dataset: str) -> Scored:
        """Predictions and metrics of `rows`, which are `dataset` in `language`, from the head's output for each of
        their features. A data set with a metric of its own gets that as well.

        Raises RunError where the output is NaN, ValueError where its shapes are not those of the features.
        """

    def describe(self, rows: Sequence[Row], features: Sequence[F]) -> list[Fact]:
        """What there is to tell of one example beside its tokens: that of `features`, as they are read."""
        row = rows[features[0].example]
        return [(column, row[column]) for column in self.texts]

    def asked(self, feature: F) -> Sequence[int]:
        """The positions [T] of the tokens that a feature, as it is read, asks for."""
        return ()

    def lost(self, rows: Sequence[Row], features: Sequence[F], tokenizer: "PreTrainedTokenizerBase") -> list[Fact]:
        """What of `rows` did not come into their `features`."""
        return []


def by_example(features: Sequence[F]) -> list[list[F]]:
    """The features of each example, which stand side by side."""
    return [list(group) for _, group in groupby(features, key=lambda feature: feature.example)]


def cut_off(
    texts: Sequence[Sequence[tuple[str, ...]]], features: Sequence[Feature], tokenizer: "PreTrainedTokenizerBase"
) -> list[Fact]:
    """What features lost that were cut to the longest length: `texts` holds the sequences of each as they were."""
    lost: list[int] = []
    for first in range(0, len(features), CHUNK):
        part = texts[first : first + CHUNK]
        columns = zip(*(sequence for sequences in part for sequence in sequences), strict=True)
        # Longer than the encoder reads, some of them: verbose=False spares the warning.
        counts = map(len, tokenizer(*map(list, columns), verbose=False)["input_ids"])
        whole = [sum(islice(counts, len(sequences))) for sequences in part]
        lost += (count - feature.tokens for count, feature in zip(whole, features[first : first + CHUNK], strict=True))
    worst = int(np.argmax(lost))
    which = f", at most {lost[worst]:,} (first={worst})" if lost[worst] else ""
    examples = share(sum(number > 0 for number in lost), len(features))
    return [("cut off", f"{examples} examples lose tokens, {sum(lost):,} in all{which}")]


def share(part: int, whole: int) -> str:
    """A part of a whole in numbers and percent."""
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)"


def collate(features: Sequence[Feature], pad_id: int) -> dict[str, "torch.Tensor"]:
    """int64 tensors of a part of a batch: inputs [B, T] or [B, choices, T], labels [B, F].

    T is the longest input, F the largest number of labels. `pad_id` fills input_ids; everything else, the attention
    mask above all, is filled with 0: a head knows from the inputs which labels there are.
    """
    import torch

    longest = max(feature.length for feature in features)
    batch = {
        name: stack([feature.inputs[name] for feature in features], longest, padding(name, pad_id), np.int64)
        for name in features[0].inputs
    }
    labels = [np.array(feature.labels) for feature in features]
    batch["labels"] = stack(labels, max(map(len, labels)), 0, np.int64)
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def stack(arrays: Sequence[np.ndarray], length: int, value: float, dtype: type[np.generic]) -> np.ndarray:
    """N arrays [..., t] as one [N, ..., length], filled up on the right with `value`."""
    stacked = np.full((len(arrays), *arrays[0].shape[:-1], length), value, dtype=dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[..., : array.shape[-1]] = array
    return stacked


def padding(name: str, pad_id: int) -> int:
    """The value of a padding slot in the input called `name`."""
    return pad_id if name == "input_ids" else 0


def check_tokenizer(task: str, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    """Raises ConfigError unless the tokenizer is a fast one and its model takes `max_length` tokens."""
    if not tokenizer.is_fast:
        raise ConfigError(
            f"{task}: found the slow tokenizer {type(tokenizer).__name__}, expected a fast one, which"
            " knows the characters of its tokens; save it with a"
            " tokenizer.json, from AutoTokenizer.from_pretrained(…, use_fast=True)"
        )
    if max_length > tokenizer.model_max_length:
        raise ConfigError(
            f"{task}: found max_length {max_length}, but this encoder reads at most"
            f" {tokenizer.model_max_length} tokens; type task.max_length={tokenizer.model_max_length} or less"
        )


def check_rows(task: str, rows: Sequence[Row], columns: Columns) -> None:
    """Raises ConfigError unless there are rows and each of them has `columns`, with values that fit."""
    if not rows:
        raise ConfigError(f"{task}: found no rows, expected at least one; check the data set and its split")
    for index, row in enumerate(rows):
        for column, expected in columns.items():
            if column not in row:
                raise ConfigError(
                    f"{task}: row {index} has the columns {', '.join(row)}; expected {', '.join(columns)};"
                    f" give the data set a column {column!r}"
                )
            if isinstance(expected, type):
                fits, wanted = isinstance(row[column], expected), expected.__name__
            else:
                fits = row[column] in expected and type(row[column]) is type(expected[0])  # True is no label
                wanted = f"one of {', '.join(map(repr, expected))}"
            if not fits:
                raise ConfigError(
                    f"{task}: row {index} has {column} = {row[column]!r}, expected {wanted};"
                    " check the data set and its split"
                )


def check_logits(task: str, logits: Logits, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises ValueError unless every factor of feature i has shapes[i], RunError where one is NaN."""
    if len(logits) != len(shapes):
        raise ValueError(f"{task}: found the output of {len(logits)} features, expected {len(shapes)}")
    for index, (factors, shape) in enumerate(zip(logits, shapes, strict=True)):
        if any(factor.shape != shape for factor in factors):
            found = ", ".join(str(factor.shape) for factor in factors)
            raise ValueError(f"{task}: the output of feature {index} has shapes {found}, expected {shape}")
        if any(np.isnan(factor).any() for factor in factors):
            raise RunError(
                f"{task}: found NaN in the model's output for feature {index}, expected numbers: its weights"
                " have diverged; type a smaller learning rate, train.lr"
            )


def score_labels(task: str, rows: Sequence[Row], logits: Logits, classes: int) -> Scored:
    """Accuracy of the most probable class (ties: the lowest) against column `label`; one feature per row."""
    check_logits(task, logits, [(classes,)] * len(rows))
    predicted = [int(factor.argmax()) for (factor,) in logits]
    gold = [row["label"] for row in rows]
    accuracy = metrics.load("accuracy").compute(predictions=predicted, references=gold)["accuracy"]
    return Scored(
        metrics={"accuracy": 100 * accuracy},
        predictions=[
            {"example": index, "prediction": prediction, "label": label}
            for index, (prediction, label) in enumerate(zip(predicted, gold, strict=True))
        ],
    )


def encoded(encoding: "BatchEncoding", index: int, tokenizer: "PreTrainedTokenizerBase") -> dict[str, np.ndarray]:
    """Sequence `index` of an encoding, as the int32 arrays [T] that this tokenizer's encoder reads."""
    names = [name for name in tokenizer.model_input_names if name in encoding]
    return {name: np.asarray(encoding[name][index], dtype=np.int32) for name in names}
