"""Figures, one class per kind: *parts* side by side, each a model with the test sets that it shows, and in every part
the same *rows* (ways of training)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import Dataset, Declaration, Group, Needed, Run, merged, undeclared, words
from reproduce.declare.tables import AVERAGE, AVERAGE_WITH_SOURCE, Over


class Part(Declaration):
    """What it adds to its runs' overrides, its test sets, and every how many updates tr(F) is tracked (0: never)."""

    label: str
    overrides: str
    datasets: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}
    fisher_every: int = Field(default=0, ge=0)


class TrackedPart(Part):
    fisher_every: int = Field(ge=1)


class Figure(Target):
    """What every figure has. `replicates` are the overrides that a row's mean is taken over, unless it has its own."""

    over: ClassVar[Over | None] = AVERAGE
    """The languages of a test set that its runs must be evaluated in; None for none of them."""
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

    def needed(self) -> list[Needed]:
        over = self.over
        return merged(
            Needed(run, dataset.values(over.languages(dataset) if over else ()), part.fisher_every, self.tests_every)
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
        return [row for row in self.rows if row != self.reference]

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from undeclared("reference", [self.reference], self.rows)


@KINDS.register("relative")
class Relative(Referred):
    """Transfer relative to the row `reference` (FUN, Figure 2), beside the averages that `published` of it, its parts
    and rows select."""

    one_run_per_part = False

    published: Mapping[str, str] = {}


@KINDS.register("traces")
class Traces(Figure):
    """tr(F) over training (FUN, Figure 3), smoothed over `window` neighbouring points."""

    over = None

    parts: Mapping[str, TrackedPart] = Field(min_length=1)
    window: int = Field(ge=1)


@KINDS.register("groups")
class Groups(Figure):
    """tr(F), smoothed over `window` points, and validation of runs grouped by transfer (FUN, Figure 4 and footnote 10).

    A run's transfer is the average over its part's test sets of its averages over their target languages. Runs within
    `points` of the best that has no group yet form a group.
    """

    parts: Mapping[str, TrackedPart] = Field(min_length=1)
    points: float = Field(gt=0)
    window: int = Field(ge=1)


@KINDS.register("orders")
class Orders(Figure):
    """The layer that opens at each opening (FUN, Figure 5)."""

    over = None


@KINDS.register("epochs")
class Epochs(Figure):
    """The average over all languages of a test set after every epoch of training (GradDrop, Figure 2)."""

    over = AVERAGE_WITH_SOURCE
    tests_every = "epoch"


@KINDS.register("t statistics")
class TStatistics(Referred):
    """Paired t of each row beside `reference` (GradDrop, Figure 3): over a test set's languages, and all averages."""

    over = AVERAGE_WITH_SOURCE
    one_run_per_part = False


@KINDS.register("by language")
class ByLanguage(Referred):
    """The difference to `reference` in each language, and the ratio (GradDrop, Figure 4)."""

    over = AVERAGE_WITH_SOURCE


@KINDS.register("curve")
class Curve(Referred):
    """Transfer relative to `reference`, run by run, and the source language's score over `field` (L2 paper, Figure 1).

    `at` says where on its axis, called `label`, a row's runs lie.
    """

    over = AVERAGE_WITH_SOURCE

    field: str
    label: str = ""
    at: Mapping[str, float] = Field(min_length=2)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from undeclared("at", self.at, self.compared)
