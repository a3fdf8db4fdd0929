"""What a paper claims, as its claims.yaml declares it: comparisons of cells of tables, in a closed set of kinds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fun.errors import ConfigError
from reproduce.declare.papers import Paper, Target
from reproduce.declare.parts import Declaration, Needed, checked, merged, read, undeclared
from reproduce.declare.published import SELECTED
from reproduce.declare.tables import LOWEST, Correlation, Place, Table


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
    """A statement about `rows` of a scope's table beside each of the rows `over`.

    One case per panel (those named, or the scope's main ones), dataset (the paper's, or a miniature's in their place),
    metric (all of a dataset's, or the main one), column and pair of rows.
    """

    rows: tuple[str, ...] = Field(min_length=1)
    over: tuple[str, ...] = Field(min_length=1)
    panels: tuple[str, ...] = ()
    datasets: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = ("average",)
    metrics: Literal["all", "main"] = "main"


class Above(Compared):
    """The difference of means is above 0; `clearly`: above the metric's margin; `significant`: and p < 0.05 after Holm.

    With `least` the claim is that this share of the cases is so, else that all are.
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


class Steadier(Compared):
    """The std over replicates is below that of the other row."""

    kind: Literal["steadier"]


class Gain(Compared):
    """The difference of means, averaged over the datasets: one case per panel, column and pair of rows.

    `each`: one case per dataset too. `equals`: it is the stated number; printed numbers give its last decimal, runs
    come within the margin. `at_least`: it is no less than the stated number.
    """

    kind: Literal["gain"]
    each: bool = False
    equals: float | None = None
    at_least: float | None = None


class Negative(Claim):
    """The correlations of the table `target` are below 0."""

    kind: Literal["negative correlation"]
    target: str


class Pictured(Claim):
    """A statement about the shape of curves, for which the paper gives no numbers: `figure` shows it."""

    kind: Literal["pictured"]
    figure: int


AnyClaim = Annotated[
    Above | Comparable | GapClosed | Steadier | Gain | Negative | Pictured, Field(discriminator="kind")
]


class Scope(Table):
    """What claims are checked on: a table with a row for every way of training that they compare.

    `main` are the panels that a claim is about unless it names its own. `instead` are its data sets and targets in the
    place of the paper's. Its printed numbers are those of the first table that prints them; without any, claims about
    one panel or a stated number have no meaning.
    """

    selectors: ClassVar[tuple[str, ...]] = SELECTED[1:]

    main: Annotated[tuple[str, ...], Field(min_length=1)]
    instead: Mapping[str, str] = {}

    def target(self, name: str) -> Target | None:
        """Its target in the place of one of the paper's; None where there is none."""
        return self.paper.targets.get(self.instead.get(name, name))

    def correlations(self, claim: Negative) -> Correlation:
        """The table that a claim is about."""
        table = self.target(claim.target)
        assert isinstance(table, Correlation)  # `load` has looked
        return table


@dataclass(frozen=True)
class Case:
    """One comparison: `row` beside `over` by the average of these `numbers`, (dataset, metric)."""

    panel: str
    numbers: tuple[tuple[str, str], ...]
    column: str
    row: str
    over: str

    def places(self, row: str) -> list[Place]:
        return [Place(self.panel, row, dataset, self.column, metric) for dataset, metric in self.numbers]

    def label(self, scope: Scope) -> str:
        """Where it is, and the two rows: `mBERT, XNLI Accuracy: GU − standard`."""
        datasets = scope.datasets
        names = (f"{datasets[dataset].label} {datasets[dataset].metrics[metric]}" for dataset, metric in self.numbers)
        where = filter(None, (scope.panels[self.panel].label, *names, scope.columns[self.column].label))
        return f"{', '.join(where)}: {scope.rows[self.row].label} − {scope.rows[self.over].label}"


@dataclass(frozen=True)
class Statements:
    """What one paper claims, and what its claims are checked on: its own data first, then its miniatures."""

    scopes: Mapping[str, Scope]
    claims: tuple[AnyClaim, ...]

    @property
    def own(self) -> Scope | None:
        """What is no miniature."""
        return next(iter(self.scopes.values()), None)

    def foreign(self, claim: Compared, scope: Scope) -> str:
        """Why a claim has no meaning in a scope; empty where it has one."""
        if scope.published:
            return ""
        if isinstance(claim, Gain):
            return "it states a number that was measured on the paper's data"
        labels = {name: panel.label for other in self.scopes.values() for name, panel in other.panels.items()}
        return f"it is about {', '.join(labels[name] for name in claim.panels)} alone" if claim.panels else ""

    def needed(self, scope: Scope) -> list[Needed]:
        """Every run that the claims with a meaning in a scope need, once, in their order."""
        compared = [claim for claim in self.claims if isinstance(claim, Compared) and not self.foreign(claim, scope)]
        places = [place for claim in compared for place in places_of(claim, scope)]
        deciding = (scope.deciding(place) for place in places if scope.over(place.column) == LOWEST)
        tables = [scope.correlations(claim) for claim in self.claims if isinstance(claim, Negative)]
        return merged([*scope.needed_for((*places, *deciding)), *(run for table in tables for run in table.needed())])


def cases(claim: Compared, scope: Scope) -> list[Case]:
    """The comparisons that a claim makes in a scope."""
    datasets = {name: scope.datasets[name] for name in (scope.instead.get(name, name) for name in claim.datasets)}
    numbers = [
        (name, metric)
        for name, dataset in datasets.items()
        for metric in (dataset.metrics if claim.metrics == "all" else (dataset.main_metric,))
    ]
    averaged = [tuple(numbers)] if isinstance(claim, Gain) and not claim.each else [(number,) for number in numbers]
    parts = (claim.panels or scope.main, averaged, claim.columns, claim.rows, claim.over)
    return [Case(*chosen) for chosen in product(*parts)]


def places_of(claim: Compared, scope: Scope) -> list[Place]:
    """Every number that a claim is about."""
    return [
        place
        for case in cases(claim, scope)
        for row in (case.row, case.over, *_standard(claim))
        for place in case.places(row)
    ]


def _standard(claim: Compared) -> list[str]:
    """The row below which a gap opens; of other claims none."""
    return [claim.standard] if isinstance(claim, GapClosed) else []


class _File(Declaration):
    scopes: Mapping[str, dict[str, Any]]
    claims: tuple[AnyClaim, ...]


def load(paper: Paper) -> Statements:
    """A paper's claims, none without a claims.yaml. Raises ConfigError that names the file and the key."""
    path, where = paper.folder / "claims.yaml", f"{paper.name}/claims.yaml"
    if not path.exists():
        return Statements({}, ())
    file = checked(read(path, where), _File, where)
    scopes = {
        name: checked({**fields, "paper": paper, "stem": name}, Scope, f"{where}: {name}")
        for name, fields in file.scopes.items()
    }
    statements = Statements(scopes, file.claims)
    for problem in _problems(statements):
        raise ConfigError(f"{where}: {problem}.")
    return statements


def _problems(statements: Statements) -> Iterator[str]:
    scopes = statements.scopes
    for name, scope in scopes.items():
        yield from (f"scopes.{name}.{problem}" for problem in scope.problems())
        yield from undeclared(f"scopes.{name}.main", scope.main, scope.panels)
        yield from undeclared(f"scopes.{name}.instead", scope.instead.values(), (*scope.datasets, *scope.paper.targets))
    ids = [claim.id for claim in statements.claims]
    yield from (f"two claims are called '{name}'; rename one" for name in ids if ids.count(name) > 1)
    panels = [name for scope in scopes.values() for name in scope.panels]
    for claim in statements.claims:
        if isinstance(claim, Negative):
            wrong = [name for name, scope in scopes.items() if not isinstance(scope.target(claim.target), Correlation)]
            yield from (f"{claim.id}: '{claim.target}' is no table of correlations in scopes.{name}" for name in wrong)
        if not isinstance(claim, Compared):
            continue
        yield from undeclared(f"{claim.id}.panels", claim.panels, panels)
        for scope in (scope for scope in scopes.values() if not statements.foreign(claim, scope)):
            yield from undeclared(claim.id, (*claim.rows, *claim.over, *_standard(claim)), scope.rows)
            yield from undeclared(f"{claim.id}.columns", claim.columns, scope.columns)
            yield from undeclared(f"{claim.id}.datasets", claim.datasets, (*scope.instead, *scope.datasets))
        if isinstance(claim, Gain) and (claim.equals is None) == (claim.at_least is None):
            yield f"{claim.id} needs one of equals and at_least"
