"""What a paper claims, as declared in `<paper>.yaml`: a closed set of kinds; checked when read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from fun.errors import ConfigError
from reproduce.declare import papers
from reproduce.declare.papers import AVERAGE, Paper
from reproduce.declare.parts import Dataset, Declaration, among, read

CLAIMS = Path(__file__).parents[1] / "published"


class Share(Declaration):
    """`count` of `of` cases."""

    count: int = Field(ge=1)
    of: int = Field(ge=1)


class Claim(Declaration):
    """A statement in our own words; where the paper makes it; what a reader should know about the reading of it."""

    id: str
    text: str
    source: str
    note: str = ""


class Compared(Claim):
    """A statement about methods `rows` beside each of the methods `over`.

    One case per model, dataset, data size, metric and pair of methods. `models`: those named, or the main models of
    whatever is looked at. `datasets` are the paper's; a miniature has its own in their place. `where` is
    `source`, `lowest` (the target language that is lowest in the standard row), `average` (over all target
    languages) or a language. `metrics`: all of a dataset's, or the main one.
    """

    rows: tuple[str, ...] = Field(min_length=1)
    over: tuple[str, ...] = Field(min_length=1)
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = Field(min_length=1)
    data_sizes: tuple[str, ...] = ("full",)
    where: str = AVERAGE
    metrics: Literal["all", "main"] = "main"


class Above(Compared):
    """The difference of means is above 0; `clearly`: above the metric's margin; `significant`: and p < 0.05.

    p is two-sided, after Holm's adjustment over the claim's cases. With `least` the claim is that this share of the
    cases is so, else that all are.
    """

    kind: Literal["above"]
    clearly: bool = False
    significant: bool = False
    least: Share | None = None


class Comparable(Compared):
    """The difference of means is at most the metric's margin, either way."""

    kind: Literal["comparable"]


class GapClosed(Compared):
    """Where `standard` is below `over` (the gap), a row is not: by no more than the metric's margin, if at all."""

    kind: Literal["gap closed"]
    standard: str


class Gain(Compared):
    """The difference of means, averaged over the datasets: one case per model, data size and pair of methods.

    `equals`: it is the stated number; printed numbers must give its last decimal, runs must come within the margin.
    `at_least`: it is no less than the stated number.
    """

    kind: Literal["gain"]
    equals: float | None = None
    at_least: float | None = None


class Pictured(Claim):
    """A statement about the shape of curves, for which the paper gives no numbers: `figure` shows it."""

    kind: Literal["pictured"]
    figure: int


AnyClaim = Annotated[Above | Comparable | GapClosed | Gain | Pictured, Field(discriminator="kind")]


class Method(Declaration):
    """A way of training: its label, its choice of two groups, and its published rows where they are named otherwise."""

    label: str
    adapter: str
    schedule: str
    published: Mapping[str, str] = {}

    @property
    def selected(self) -> dict[str, str]:
        """The columns of the published numbers that select it."""
        return {"adapter": self.adapter, "method": self.schedule, **self.published}


class Scope(Declaration):
    """What claims are checked on: its main models, and its data sets in the place of the paper's.

    `published`: whether it is what the paper is about. Claims about one model or a stated number have no
    meaning anywhere else.
    """

    title: str
    models: tuple[str, ...]
    datasets: Mapping[str, str]
    published: bool = False


@dataclass(frozen=True)
class Quantity:
    """A number that a claim reads: where it is measured, by the names of the declaration."""

    model: str
    method: str
    dataset: str
    data_size: str
    where: str
    metric: str


@dataclass(frozen=True)
class Case:
    """One comparison: the average of `row` beside the average of `over` (and of `standard`, for a gap)."""

    label: str
    row: tuple[Quantity, ...]
    over: tuple[Quantity, ...]
    standard: tuple[Quantity, ...] = ()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (*self.row, *self.over, *self.standard)


class Statements(Declaration):
    """One file: the claims of the paper declared in `papers/<paper>`, and the names that they use.

    `replicates` are the overrides that means and stds are taken over. `lowest` is the method whose lowest target
    language is the `lowest` one of a model and a dataset.
    """

    paper: str
    models: Mapping[str, str]
    methods: Mapping[str, Method]
    lowest: str
    replicates: tuple[str, ...]
    scopes: Mapping[str, Scope]
    claims: tuple[AnyClaim, ...]

    @cached_property
    def declared(self) -> Paper:
        """The paper's tables and data sets."""
        return papers.load(papers.PAPERS / self.paper)

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        return self.declared.datasets

    def foreign(self, claim: Compared, scope: Scope) -> str:
        """Why a claim has no meaning in a scope; empty where it has one."""
        if scope.published:
            return ""
        if isinstance(claim, Gain):
            return "it states a number that was measured on the paper's data"
        return f"it is about {', '.join(self.models[model] for model in claim.models)} alone" if claim.models else ""

    def cases(self, claim: Compared, scope: Scope) -> list[Case]:
        """The comparisons that a claim makes in a scope."""
        return [
            Case(
                label=self._label(model, numbers, size, (row, over)),
                row=_quantities(claim, model, row, size, numbers),
                over=_quantities(claim, model, over, size, numbers),
                standard=_quantities(claim, model, claim.standard, size, numbers)
                if isinstance(claim, GapClosed)
                else (),
            )
            for model in claim.models or scope.models
            for numbers in _numbers(claim, scope, self.datasets)
            for size in claim.data_sizes
            for row in claim.rows
            for over in claim.over
        ]

    def _label(self, model: str, numbers: Sequence[tuple[str, str]], size: str, pair: tuple[str, str]) -> str:
        names = (f"{self.datasets[name].label} {self.datasets[name].metrics[metric]}" for name, metric in numbers)
        shown = [self.models[model], *names, *([] if size == "full" else [size])]
        return f"{', '.join(shown)}: {' − '.join(self.methods[method].label for method in pair)}"


def load(path: Path) -> Statements:
    """Read and check one file of claims. Raises ConfigError that names the file and the key."""
    statements = read(path, TypeAdapter(Statements))
    _check(statements, path.name)
    return statements


def _numbers(claim: Compared, scope: Scope, datasets: Mapping[str, Dataset]) -> list[tuple[tuple[str, str], ...]]:
    """The (dataset, metric) of each comparison; all in one for a gain, which averages over them."""
    names = dict.fromkeys(scope.datasets[name] for name in claim.datasets)
    numbers = [
        (name, metric)
        for name in names
        for metric in (datasets[name].metrics if claim.metrics == "all" else (datasets[name].main_metric,))
    ]
    return [tuple(numbers)] if isinstance(claim, Gain) else [(number,) for number in numbers]


def _quantities(
    claim: Compared, model: str, method: str, size: str, numbers: Sequence[tuple[str, str]]
) -> tuple[Quantity, ...]:
    return tuple(Quantity(model, method, name, size, claim.where, metric) for name, metric in numbers)


def _check(statements: Statements, where: str) -> None:
    known = statements.datasets
    among([statements.lowest], statements.methods, f"{where}: lowest")
    for name, scope in statements.scopes.items():
        among(scope.models, statements.models, f"{where}: scopes.{name}.models")
        among(scope.datasets.values(), known, f"{where}: scopes.{name}.datasets")
    ids = [claim.id for claim in statements.claims]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ConfigError(f"{where}: two claims are called '{twice}'; rename one.")
    for claim in statements.claims:
        if not isinstance(claim, Compared):
            continue
        methods = [*claim.rows, *claim.over, *([claim.standard] if isinstance(claim, GapClosed) else [])]
        among(methods, statements.methods, f"{where}: {claim.id}")
        among(claim.models, statements.models, f"{where}: {claim.id}.models")
        for scope in statements.scopes.values():
            among(claim.datasets, scope.datasets, f"{where}: {claim.id}.datasets")
        if isinstance(claim, Gain) and (claim.equals is None) == (claim.at_least is None):
            raise ConfigError(f"{where}: {claim.id} needs one of equals and at_least.")
