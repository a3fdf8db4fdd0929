"""What a figure is made of, as declared under `figures:` in `papers/*.yaml`. One class per kind of figure.

A figure has *parts*, side by side: each is a model with the test sets that it shows. The same *rows* (ways of
training) are drawn in every part, and the same *replicates* stand behind each row.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reproduce.declare.parts import Dataset, Declaration, Group, Needed, merged, words

if TYPE_CHECKING:
    from reproduce.declare.papers import Paper


class Part(Declaration):
    """One part of a figure: what it adds to its runs' overrides, and the test sets that it shows."""

    label: str
    overrides: str
    datasets: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}


class TrackedPart(Part):
    """A part for which tr(F) is tracked every `fisher_every` updates."""

    fisher_every: int = Field(ge=1)


class Drawn(Declaration):
    """What every figure has. `replicates` are the overrides that a row's mean is taken over, unless it has its own."""

    title: str
    overrides: str
    replicates: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, Group] = Field(min_length=1)
    parts: Mapping[str, Part] = Field(min_length=1)

    def runs(self, part: Part, row: str, dataset: Dataset) -> list[tuple[str, ...]]:
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
        return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} runs"

    def _needed(self, paper: "Paper", parts: Mapping[str, Part], *, transfer: bool) -> list[Needed]:
        return merged(
            Needed(run, tuple(_targets(name, paper.datasets[name])) if transfer else (), _fisher_every(part))
            for part in parts.values()
            for name in part.datasets
            for row in self.rows
            for run in self.runs(part, row, paper.datasets[name])
        )


class Relative(Drawn):
    """Transfer relative to the row `reference` (FUN, Figure 2): a bar for each other row and test set.

    `published` of the figure, the part and the row select the published averages.
    """

    kind: Literal["relative"]
    reference: str
    published: Mapping[str, str] = {}

    def needed(self, paper: "Paper") -> list[Needed]:
        """Every run of the figure once, with the target languages that it must have been evaluated on."""
        return self._needed(paper, self.parts, transfer=True)


class Traces(Drawn):
    """tr(F) over training (FUN, Figure 3), smoothed over `window` neighbouring points."""

    kind: Literal["traces"]
    parts: dict[str, TrackedPart] = Field(min_length=1)
    window: int = Field(ge=1)

    def needed(self, paper: "Paper") -> list[Needed]:
        """Every run of the figure once, with tr(F) tracked."""
        return self._needed(paper, self.parts, transfer=False)


class Groups(Drawn):
    """tr(F) and validation of runs grouped by transfer (FUN, Figure 4 and footnote 10).

    A run's transfer is the average over its part's test sets of its averages over their target languages. Runs within
    `points` of the best that has no group yet form a group. tr(F) is smoothed over `window` points.
    """

    kind: Literal["groups"]
    parts: dict[str, TrackedPart] = Field(min_length=1)
    points: float = Field(gt=0)
    window: int = Field(ge=1)

    def needed(self, paper: "Paper") -> list[Needed]:
        """Every run of the figure once, with tr(F) tracked and evaluated on every target language."""
        return self._needed(paper, self.parts, transfer=True)


class Orders(Drawn):
    """The layer that opens at each opening (FUN, Figure 5)."""

    kind: Literal["orders"]

    def needed(self, paper: "Paper") -> list[Needed]:
        """Every run of the figure once; what it was evaluated on does not matter."""
        return self._needed(paper, self.parts, transfer=False)


Figure = Annotated[Relative | Traces | Groups | Orders, Field(discriminator="kind")]
"""A figure's declaration; its `kind` says which."""


def problems(figure: Relative | Traces | Groups | Orders, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """What is wrong with a declaration beyond its types, one line each; none where it is fine."""
    for row in figure.rows:
        listed = figure.replicates_of(row)
        if len(set(listed)) < len(listed):
            yield f"replicates are {list(listed)}; expected none twice"
    if isinstance(figure, Relative) and figure.reference not in figure.rows:
        yield f"reference: '{figure.reference}' is not declared; valid: {', '.join(figure.rows)}"
    for name, part in figure.parts.items():
        unknown = [dataset for dataset in part.datasets if dataset not in datasets]
        for dataset in unknown:
            yield f"parts.{name}.datasets: '{dataset}' is not declared; valid: {', '.join(datasets)}"
        trained = {datasets[dataset].overrides for dataset in part.datasets if dataset not in unknown}
        if not isinstance(figure, Relative) and len(trained) > 1:
            yield f"parts.{name}.datasets: {', '.join(part.datasets)} are tested by different runs; give each its part"


def _targets(name: str, dataset: Dataset) -> Iterator[tuple[str, str, str]]:
    for language in dataset.targets:
        yield name, language, dataset.main_metric


def _fisher_every(part: Part) -> int:
    return part.fisher_every if isinstance(part, TrackedPart) else 0
