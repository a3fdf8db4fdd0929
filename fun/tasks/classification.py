"""Classification of a text, or of a pair of texts: natural language inference is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fun.data.facts import facts
from fun.errors import ConfigError
from fun.tasks.base import (
    CHUNK,
    TASKS,
    Fact,
    Feature,
    Logits,
    Row,
    Scored,
    Task,
    check_rows,
    check_tokenizer,
    cut_off,
    encoded,
    score_labels,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fun.config import RunConfig
    from fun.models.heads import Head


@TASKS.register("classification")
@dataclass(frozen=True, kw_only=True)
class ClassificationTask(Task[Feature]):
    """One or two columns as one sequence of at most `max_length` tokens, cut longest first; column `label` is the
    number of its class."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    classifies: ClassVar[bool] = True

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    """The columns that are read, as one text or as a pair."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """The names of the classes 0, 1, …: where a file has names for numbers, they are these."""

    @property
    def texts(self) -> tuple[str, ...]:
        """See Task."""
        return self.columns

    def check(self, config: "RunConfig") -> None:
        """See Task: the numbers of the labels are those of its data sets."""
        for dataset in map(facts, (self.training_set, *self.test_sets)):
            if dataset.labels != self.labels:
                raise ConfigError(
                    f"task.labels is {', '.join(self.labels)}, and the data set {dataset.name} numbers its labels "
                    f"{', '.join(dataset.labels) or 'without names'}: type task.labels=[{','.join(dataset.labels)}]"
                )

    def head(self, *, layers: int, pooler: bool) -> "Head":
        """One softmax over the labels."""
        from fun.models.heads import ClassificationHead

        return ClassificationHead(num_labels=len(self.labels), layers=layers, use_pooler=pooler)

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerBase") -> list[Feature]:
        """One feature [T] per row; raises ConfigError (see Task)."""
        check_tokenizer(self.name, tokenizer, self.max_length)
        check_rows(self.name, rows, {**dict.fromkeys(self.columns, str), "label": range(len(self.labels))})
        features: list[Feature] = []
        for first in range(0, len(rows), CHUNK):
            part = rows[first : first + CHUNK]
            sequences = tokenizer(
                *([row[column] for row in part] for column in self.columns),
                truncation="longest_first",
                max_length=self.max_length,
            )
            features += (
                Feature(example=first + index, inputs=encoded(sequences, index, tokenizer), labels=(row["label"],))
                for index, row in enumerate(part)
            )
        return features

    def score(
        self, rows: Sequence[Row], features: Sequence[Feature], logits: Logits, language: str, dataset: str
    ) -> Scored:
        """Accuracy; `logits` holds one array [labels] per row."""
        return score_labels(self.name, rows, logits, classes=len(self.labels))

    def describe(self, rows: Sequence[Row], features: Sequence[Feature]) -> list[Fact]:
        """See Task: the texts and the class."""
        (number,) = features[0].labels
        return [*super().describe(rows, features), ("label", f"{number} ({self.labels[number]})")]

    def lost(
        self, rows: Sequence[Row], features: Sequence[Feature], tokenizer: "PreTrainedTokenizerBase"
    ) -> list[Fact]:
        """See Task."""
        return cut_off([[tuple(row[column] for column in self.columns)] for row in rows], features, tokenizer)
