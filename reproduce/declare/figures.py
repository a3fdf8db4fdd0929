"""What a figure is made of: one class per kind of figure.

A figure has *parts*, side by side: each is a model with the test sets that it shows. The same *rows* (ways of
training) are drawn in every part, and the same *replicates* stand behind each row.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import Dataset, Declaration, Group, Needed, Run, merged, undeclared, words


class Part(Declaration):
    """One part of a figure: what it adds to its runs' overrides, and the test sets that it shows.

    tr(F) is tracked every `fisher_every` updates, 0 for not at all.
    """

    label: str
    overrides: str
    datasets: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}
    fisher_every: int = Field(default=0, ge=0)


class TrackedPart(Part):
    """A part that shows tr(F)."""

    fisher_every: int = Field(ge=1)


class Figure(Target):
    """What every figure has. `replicates` are the overrides that a row's mean is taken over, unless it has its own."""

    transfer: ClassVar[bool] = True
    """Whether its runs must be evaluated in every target language."""
    tests_every: ClassVar[str] = ""
    """How often along training its runs must be tested, as `track.tests_every`; empty: not at all."""
    one_run_per_part: ClassVar[bool] = True
    """Whether a row has one run per replicate in each part, whatever the part's test sets."""

    overrides: str
    replicates: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, Group] = Field(min_length=1)
    parts: Mapping[str, Part] = Field(min_length=1)

    def runs(self, part: Part, row: str, dataset: Dataset) -> list[Run]:
        """The overrides of a row's runs in a part, one for each declared replicate."""
        parts = (part.overrides, dataset.overrides, self.overrides, self.rows[row].overrides)
        return [words(*parts, replicate) for replicate in self.replicates_of(row)]

    def replicates_of(self, row: str) -> tuple[str, ...]:
        """The replicates that a row's mean is taken over."""
        return self.rows[row].replicates or self.replicates

    @property
    def runs_of_a_mean(self) -> str:
        """How many runs the mean of a complete row is over: `4 runs`, `2 to 4 runs` where rows differ."""
        counts = sorted({len(self.replicates_of(row)) for row in self.rows})
        return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} run{'s' * (counts[-1] > 1)}"

    @property
    def single(self) -> bool:
        """Whether each row is of one run, so that there are no means."""
        return all(len(self.replicates_of(row)) == 1 for row in self.rows)

    def problems(self) -> Iterator[str]:
        for listed in map(self.replicates_of, self.rows):
            if len(set(listed)) < len(listed):
                yield f"replicates are {list(listed)}; expected none twice"
        for name, part in self.parts.items():
            yield from undeclared(f"parts.{name}.datasets", part.datasets, self.paper.datasets)
            datasets = [self.paper.datasets[dataset] for dataset in part.datasets if dataset in self.paper.datasets]
            if self.one_run_per_part and len({dataset.overrides for dataset in datasets}) > 1:
                names = ", ".join(part.datasets)
                yield f"parts.{name}.datasets: {names} are tested by different runs; give each its part"

    def values(self, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        """What its runs must hold of a data set, as `Needed.values`."""
        return dataset.transfer if self.transfer else ()

    def needed(self) -> list[Needed]:
        """Every run of the figure once, with what is needed of it in each part."""
        return merged(
            Needed(run, self.values(dataset), part.fisher_every, self.tests_every)
            for part in self.parts.values()
            for dataset in (self.paper.datasets[name] for name in part.datasets)
            for row in self.rows
            for run in self.runs(part, row, dataset)
        )


class Referred(Figure):
    """A figure of rows beside the row `reference`."""

    reference: str

    @property
    def compared(self) -> list[str]:
        """Every other row."""
        return [row for row in self.rows if row != self.reference]

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from undeclared("reference", [self.reference], self.rows)


@KINDS.register("relative")
class Relative(Referred):
    """Transfer relative to the row `reference` (FUN, Figure 2): a bar for each other row and test set.

    `published` of the figure, the part and the row select the published averages.
    """

    one_run_per_part = False

    published: Mapping[str, str] = {}


@KINDS.register("traces")
class Traces(Figure):
    """tr(F) over training (FUN, Figure 3), smoothed over `window` neighbouring points."""

    transfer = False

    parts: Mapping[str, TrackedPart] = Field(min_length=1)
    window: int = Field(ge=1)


@KINDS.register("groups")
class Groups(Figure):
    """tr(F) and validation of runs grouped by transfer (FUN, Figure 4 and footnote 10).

    A run's transfer is the average over its part's test sets of its averages over their target languages. Runs within
    `points` of the best that has no group yet form a group. tr(F) is smoothed over `window` points.
    """

    parts: Mapping[str, TrackedPart] = Field(min_length=1)
    points: float = Field(gt=0)
    window: int = Field(ge=1)


@KINDS.register("orders")
class Orders(Figure):
    """The layer that opens at each opening (FUN, Figure 5)."""

    transfer = False


@KINDS.register("epochs")
class Epochs(Figure):
    """The average over all languages of a test set after every epoch of training (GradDrop, Figure 2)."""

    tests_every = "epoch"

    def values(self, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        return dataset.everywhere


@KINDS.register("t statistics")
class TStatistics(Referred):
    """Paired t statistics of each row beside `reference` (GradDrop, Figure 3): over the languages of each test set, and
    over the averages of all test sets."""

    one_run_per_part = False

    def values(self, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        return dataset.everywhere


@KINDS.register("by language")
class ByLanguage(Referred):
    """The difference to `reference` in each language, and the ratio (GradDrop, Figure 4)."""

    def values(self, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        return dataset.everywhere


@KINDS.register("curve")
class Curve(Referred):
    """Transfer and the source language's score over a field of the configuration (L2 paper, Figure 1).

    `at` says where on the axis of `field`, called `label`, a row's runs lie; `reference` is the row that transfer is
    relative to, run by run of the same replicate.
    """

    field: str
    label: str = ""
    at: Mapping[str, float] = Field(min_length=2)

    def values(self, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        return dataset.everywhere

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from undeclared("at", self.at, self.compared)
