"""What every task is made of: rows, features, batches of tensors, scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from fun import metrics
from fun.data.base import Source
from fun.data.corpora import Sample
from fun.errors import ConfigError, RunError
from fun.registry import Registry

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding
    from transformers import PreTrainedTokenizerBase as Tokenizer

    from fun.config import RunConfig
    from fun.models.heads import Head

TASKS = Registry("task", by="kind")
"""The kinds of task. A named task is a yaml of conf/task, which says its kind."""

ASIDE = {"identity": False}
"""Of fields that name data sets, whose content is identity, or what is measured beside the metrics."""

CHUNK = 1000
"""Rows tokenised at once: a tokenizer's output for a whole training set would take gigabytes."""

Row = Mapping[str, Any]
"""One example in its publisher's columns."""

Logits = Sequence[tuple[np.ndarray, ...]]
"""The head's output for each feature: one array of logits per factor of its predictive distribution."""

Fact = tuple[str, str]
"""Something to tell a person of examples: a label of a word or two, and text in whatever script."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One input of the encoder, not padded to any batch. `example` is the index of its row. `inputs` maps the encoder's
    argument names to int32 arrays [T], or [choices, T] for multiple choice. `labels` holds one class per factor, as
    many as the example has."""

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


Features = Sequence[Feature]


@dataclass(frozen=True)
class Scored:
    """Metrics in percent, unrounded; `predictions[i]` holds what row i gave to them."""

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]

    @classmethod
    def of(cls, metrics: dict[str, float], **columns: Sequence[Any]) -> "Scored":
        """With predictions from columns, each with a value for every row."""
        rows = enumerate(zip(*columns.values(), strict=True))
        return cls(metrics, [{"example": index, **dict(zip(columns, values, strict=True))} for index, values in rows])


F = TypeVar("F", bound=Feature)
R = TypeVar("R")


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
    grouped: ClassVar[bool] = False
    """Whether several rows are scored together, so that a part of them is another measure."""
    by_language: ClassVar[bool] = False
    """Whether it is about the running text of one language, the run's `lang`."""
    trains: ClassVar[bool] = True
    """Whether its runs make updates; else they read training rows and estimate something."""
    splits: ClassVar[tuple[str, ...]] = ("train", "validation")
    """What a run reads of its training set; a task that makes no updates sets the first alone."""

    name: str
    """What the task is called, in folders and tables."""
    max_length: Annotated[int, Field(ge=8)]
    """Tokens of the longest sequence, special ones included."""
    training_set: str = field(metadata=ASIDE)
    """The data set of conf/datasets that it is trained and selected on."""
    test_sets: tuple[str, ...] = field(metadata=ASIDE)
    """The data sets of conf/datasets that it is tested on."""
    world: str | None = field(metadata=ASIDE)
    """The data set of the miniature world that stands for all of these; null: it has none."""

    @property
    def windows(self) -> bool:
        """Whether one row may become several features."""
        return False

    @property
    def batches(self) -> int | None:
        """How many batches a run reads, where the task itself says it; None: training's budget does."""
        return None

    @property
    @abstractmethod
    def texts(self) -> tuple[str, ...]:
        """The columns of its rows that are running text."""

    @property
    def reported(self) -> tuple[str, ...]:
        """The metrics of an evaluation: `metrics`, and what is asked for beside them."""
        return self.metrics

    def source(self, config: "RunConfig", rows: Source, text: Callable[[Sample], Source]) -> Source:
        """Where a run's rows come from: from where all `rows` do, or from running `text`."""
        return rows

    def check(self, config: "RunConfig") -> None:
        """Raise ConfigError for fields that do not fit together, or not to the run."""

    @abstractmethod
    def head(self, *, layers: int, pooler: bool) -> "Head":
        """The prediction head, whose predictive distribution the loss and the Fisher estimators read. A head over
        classes has `layers` linear layers and reads the pooler's output or the first token's state."""

    def check_scored(self, rows: Sequence[Row], where: str) -> None:
        """Raise ConfigError, before anything is trained, for rows that `score` has no number for."""

    @abstractmethod
    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer", language: str) -> list[F]:
        """The features of `rows`, in their order, the same for training and evaluation. Raises ConfigError for rows, a
        length or a tokenizer that do not fit the task."""

    @abstractmethod
    def score(self, rows: Sequence[Row], features: Sequence[F], logits: Logits, language: str, dataset: str) -> Scored:
        """Predictions and metrics of `rows`, which are `dataset` in `language`, from the head's output for each of
        their features. A data set with a metric of its own gets that as well.

        Raises RunError where the output is not finite.
        """

    def describe(self, rows: Sequence[Row], features: Sequence[F]) -> list[Fact]:
        """What there is to tell of one example beside its tokens: that of `features`, as they are read."""
        row = rows[features[0].example]
        return [(column, row[column]) for column in self.texts]

    def asked(self, feature: F) -> Sequence[int]:
        """The positions [T] of the tokens that a feature, as it is read, asks for."""
        return ()

    def lost(self, rows: Sequence[Row], features: Sequence[F], tokenizer: "Tokenizer") -> list[Fact]:
        """What of `rows` did not come into their `features`."""
        return []

    def check_input(self, rows: Sequence[Row], tokenizer: "Tokenizer", columns: Mapping[str, Any]) -> None:
        """Raise ConfigError unless the tokenizer is a fast one, its encoder reads `max_length` tokens, and there are
        rows, each with `columns`, of a type or one of several values."""
        if not tokenizer.is_fast:
            raise ConfigError(
                f"{self.name}: found the slow tokenizer {type(tokenizer).__name__}, expected a fast one, which"
                " knows the characters of its tokens; save it with a tokenizer.json, from"
                " AutoTokenizer.from_pretrained(…, use_fast=True)"
            )
        if self.max_length > (longest := tokenizer.model_max_length):
            raise ConfigError(
                f"{self.name}: found max_length {self.max_length}, but this encoder reads at most {longest} tokens;"
                f" type task.max_length={longest} or less"
            )
        if not rows:
            raise ConfigError(f"{self.name}: found no rows, expected at least one; check the data set and its split")
        for index, row in enumerate(rows):
            if missing := [column for column in columns if column not in row]:
                raise ConfigError(
                    f"{self.name}: row {index} has the columns {', '.join(row)}; expected {', '.join(columns)};"
                    f" give the data set a column {missing[0]!r}"
                )
            for column, expected in columns.items():
                if isinstance(expected, type):
                    fits, wanted = isinstance(row[column], expected), expected.__name__
                else:
                    fits = row[column] in expected and type(row[column]) is type(expected[0])  # True is no label
                    wanted = f"one of {', '.join(map(repr, expected))}"
                if not fits:
                    raise ConfigError(
                        f"{self.name}: row {index} has {column} = {row[column]!r}, expected {wanted};"
                        " check the data set and its split"
                    )

    def check_output(self, logits: Logits) -> None:
        """Raise RunError unless the output for every feature is finite."""
        for index, factors in enumerate(logits):
            if not all(np.isfinite(factor).all() for factor in factors):
                raise RunError(
                    f"{self.name}: found the model's output for feature {index} not finite: its weights have diverged;"
                    " type a smaller learning rate, train.lr"
                )


@dataclass(frozen=True, kw_only=True)
class ClassesTask(Task[Feature]):
    """One feature and one softmax per row, over one or more sequences of at most `max_length` tokens, cut longest
    first; column `label` is the number of the right one of `classes`."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    classifies: ClassVar[bool] = True

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes 0, 1, …"""

    @abstractmethod
    def sequences(self, row: Row) -> list[tuple[str, ...]]:
        """The texts or pairs of a row, as many for every row."""

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer", language: str) -> list[Feature]:
        """One feature per row, [T] or [sequences, T], T of its longest; raises ConfigError (see Task)."""
        self.check_input(rows, tokenizer, {**dict.fromkeys(self.texts, str), "label": range(len(self.classes))})
        features: list[Feature] = []
        for part in chunks(rows):
            segments = self._segments(part)
            encoding = tokenizer(*segments, truncation="longest_first", max_length=self.max_length)
            each = len(segments[0]) // len(part)
            for index, row in enumerate(part):
                inputs = [encoded(encoding, index * each + number, tokenizer) for number in range(each)]
                item = stacked(inputs, tokenizer.pad_token_id, np.int32) if each > 1 else inputs[0]
                features.append(Feature(len(features), item, (row["label"],)))
        return features

    def score(self, rows: Sequence[Row], features: Features, logits: Logits, language: str, dataset: str) -> Scored:
        """Accuracy of the most probable class (ties: the lowest); `logits` holds one array [classes] per row."""
        self.check_output(logits)
        predicted = [int(factor.argmax()) for (factor,) in logits]
        gold = [row["label"] for row in rows]
        accuracy = metrics.load("accuracy").compute(predictions=predicted, references=gold)["accuracy"]
        return Scored.of({"accuracy": 100 * accuracy}, prediction=predicted, label=gold)

    def describe(self, rows: Sequence[Row], features: Features) -> list[Fact]:
        (number,) = features[0].labels
        return [*super().describe(rows, features), ("label", f"{number} ({self.classes[number]})")]

    def lost(self, rows: Sequence[Row], features: Features, tokenizer: "Tokenizer") -> list[Fact]:
        whole: list[int] = []
        for part in chunks(rows):
            # Longer than the encoder reads, some of them: verbose=False spares the warning.
            encoding = tokenizer(*self._segments(part), verbose=False)
            lengths = np.array([len(ids) for ids in encoding["input_ids"]])
            whole += lengths.reshape(len(part), -1).sum(axis=1).tolist()
        lost = np.subtract(whole, [feature.inputs["attention_mask"].sum() for feature in features])
        which = f", at most {lost.max():,} (first={lost.argmax()})" if lost.any() else ""
        return [("cut off", f"{share((lost > 0).sum(), len(lost))} examples lose tokens, {lost.sum():,} in all{which}")]

    def _segments(self, rows: Sequence[Row]) -> list[list[str]]:
        """The first segments of all sequences of some rows and, where these are pairs, the second ones."""
        sequences = (sequence for row in rows for sequence in self.sequences(row))
        return [list(segments) for segments in zip(*sequences, strict=True)]


def chunks(rows: Sequence[R]) -> Iterator[Sequence[R]]:
    """The rows in parts that are tokenised at once."""
    return (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK))


def by_example(features: Sequence[F]) -> list[list[F]]:
    """The features of each example, which stand side by side."""
    return [list(group) for _, group in groupby(features, key=lambda feature: feature.example)]


def share(part: int, whole: int) -> str:
    """A part of a whole in numbers and percent."""
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)"


def collate(features: Features, pad_id: int) -> dict[str, "torch.Tensor"]:
    """int64 tensors of a part of a batch: inputs [B, T] or [B, choices, T], labels [B, F]. T is the longest input, F
    the largest number of labels; a head knows from the inputs which labels there are."""
    import torch

    arrays = [{**feature.inputs, "labels": np.array(feature.labels)} for feature in features]
    return {name: torch.from_numpy(values) for name, values in stacked(arrays, pad_id, np.int64).items()}


def stacked(arrays: Sequence[Mapping[str, np.ndarray]], pad_id: int, dtype: type[np.generic]) -> dict[str, np.ndarray]:
    """N examples' arrays [..., t] as [N, ..., T] by name, T the longest t: `pad_id` fills input_ids, 0 all others."""
    batch = {}
    for name, first in arrays[0].items():
        longest = max(each[name].shape[-1] for each in arrays)
        fill = pad_id if name == "input_ids" else 0
        batch[name] = np.full((len(arrays), *first.shape[:-1], longest), fill, dtype=dtype)
        for row, each in zip(batch[name], arrays, strict=True):
            row[..., : each[name].shape[-1]] = each[name]
    return batch


def encoded(encoding: "BatchEncoding", index: int, tokenizer: "Tokenizer") -> dict[str, np.ndarray]:
    """Sequence `index` of an encoding, as the int32 arrays [T] that this tokenizer's encoder reads."""
    names = [name for name in tokenizer.model_input_names if name in encoding]
    return {name: np.asarray(encoding[name][index], dtype=np.int32) for name in names}
