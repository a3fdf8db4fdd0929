"""Classification of a text, or of a pair of texts: natural language inference is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fun.data.facts import facts
from fun.errors import ConfigError
from fun.tasks.base import TASKS, ClassesTask, Fact, Feature, Row, chunks, cut_off, encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

    from fun.config import RunConfig
    from fun.models.heads import Head


@TASKS.register("classification")
@dataclass(frozen=True, kw_only=True)
class ClassificationTask(ClassesTask):
    """One or two columns as one sequence of at most `max_length` tokens, cut longest first; column `label` is the
    number of its class."""

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    """The columns that are read, as one text or as a pair."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """The names of the classes 0, 1, …: where a file has names for numbers, they are these."""

    @property
    def texts(self) -> tuple[str, ...]:
        return self.columns

    @property
    def classes(self) -> tuple[str, ...]:
        return self.labels

    def check(self, config: "RunConfig") -> None:
        """The numbers of the labels are those of its data sets."""
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

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer") -> list[Feature]:
        """One feature [T] per row; raises ConfigError (see Task)."""
        self.check_input(rows, tokenizer, {**dict.fromkeys(self.columns, str), "label": range(len(self.labels))})
        features: list[Feature] = []
        for first, part in chunks(rows):
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

    def lost(self, rows: Sequence[Row], features: Sequence[Feature], tokenizer: "Tokenizer") -> list[Fact]:
        return cut_off([[tuple(row[column] for column in self.columns)] for row in rows], features, tokenizer)
