"""Classification of a text, or of a pair of texts: natural language inference is one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fun.data.facts import facts
from fun.errors import ConfigError
from fun.tasks.base import TASKS, ClassesTask, Row

if TYPE_CHECKING:
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
        check_numbers(self.labels, (self.training_set, *self.test_sets))

    def head(self, *, layers: int, pooler: bool) -> "Head":
        """One softmax over the labels."""
        from fun.models.heads import ClassificationHead

        return ClassificationHead(num_labels=len(self.labels), layers=layers, use_pooler=pooler)

    def sequences(self, row: Row) -> list[tuple[str, ...]]:
        return [tuple(row[column] for column in self.columns)]


def check_numbers(labels: tuple[str, ...], datasets: Iterable[str]) -> None:
    """Raise ConfigError unless these data sets number their labels so."""
    for dataset in map(facts, datasets):
        if dataset.labels != labels:
            raise ConfigError(
                f"task.labels is {', '.join(labels)}, and the data set {dataset.name} numbers its labels "
                f"{', '.join(dataset.labels) or 'without names'}: type task.labels=[{','.join(dataset.labels)}]"
            )
