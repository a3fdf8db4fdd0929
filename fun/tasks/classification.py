"""Classification of a text, or of a pair of texts: natural language inference is one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fun import metrics
from fun.data.facts import facts
from fun.errors import ConfigError
from fun.tasks.base import ASIDE, TASKS, ClassesTask, Features, Logits, Row, Scored

if TYPE_CHECKING:
    from fun.tasks.base import Head, RunConfig


@TASKS.register("classification")
@dataclass(frozen=True, kw_only=True)
class ClassificationTask(ClassesTask):
    """One or two columns as one sequence of at most `max_length` tokens, cut longest first; column `label` is the
    number of its class."""

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    """The columns that are read, as one text or as a pair; a text may be of several columns: "title body"."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """The names of the classes 0, 1, …: where a file has names for numbers, they are these."""
    beside: tuple[Literal["f1"], ...] = field(default=(), metadata=ASIDE)
    """Metrics to report beside accuracy: f1 of class 1 of two."""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(" ".join(self.columns).split())

    @property
    def reported(self) -> tuple[str, ...]:
        return (*self.metrics, *self.beside)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.labels

    def check(self, config: "RunConfig") -> None:
        check_numbers(self.labels, (self.training_set, *self.test_sets))
        if self.beside and len(self.labels) != 2:
            classes = f"two classes, and task={self.name} has {len(self.labels)}"
            raise ConfigError(f"task.beside=[f1] is of {classes}: leave it out")

    def head(self, *, layers: int, pooler: bool) -> "Head":
        from fun.models.heads import ClassificationHead

        return ClassificationHead(num_labels=len(self.labels), layers=layers, use_pooler=pooler)

    def sequences(self, row: Row) -> list[tuple[str, ...]]:
        return [tuple(" ".join(row[column] for column in columns.split()) for columns in self.columns)]

    def score(self, rows: Sequence[Row], features: Features, logits: Logits, language: str, dataset: str) -> Scored:
        """Accuracy, and the metrics `beside` it."""
        scored = super().score(rows, features, logits, language, dataset)
        predicted, gold = ([row[name] for row in scored.predictions] for name in ("prediction", "label"))
        for name in self.beside:
            scored.metrics[name] = 100 * metrics.load(name).compute(predictions=predicted, references=gold)[name]
        return scored


def check_numbers(labels: tuple[str, ...], datasets: Iterable[str]) -> None:
    """Raise ConfigError unless these data sets number their labels so."""
    for dataset in map(facts, datasets):
        if dataset.labels != labels:
            raise ConfigError(
                f"task.labels is {', '.join(labels)}, and the data set {dataset.name} numbers its labels "
                f"{', '.join(dataset.labels) or 'without names'}: type task.labels=[{','.join(dataset.labels)}]"
            )
