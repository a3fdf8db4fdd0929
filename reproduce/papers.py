"""What a paper's tables and figures are made of, as declared in `papers/*.yaml`; checked when read."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fun.errors import ConfigError

PAPERS = Path(__file__).with_name("papers")


class Column(StrEnum):
    """A statistic over languages: the source, the lowest target, or the average over all targets."""

    source = "source"
    lowest = "lowest"
    average = "average"


class Declaration(BaseModel):
    """A closed part of a declaration: unknown keys and missing values are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Declaration):
    """A test set: the overrides that train for it, its languages, its metrics (main one first)."""

    label: str
    overrides: str
    targets: tuple[str, ...]
    metrics: dict[str, str]
    source: str = "en"

    @property
    def languages(self) -> tuple[str, ...]:
        return (self.source, *self.targets)

    @property
    def main_metric(self) -> str:
        return next(iter(self.metrics))


class Group(Declaration):
    """A panel or a row: what it adds to its runs' overrides, and to the selection of published numbers."""

    label: str
    overrides: str
    published: dict[str, str] = {}


class Trace(Declaration):
    """tr(F) over training: rows to compare, a value every `fisher_every` updates, smoothed over `window`."""

    rows: tuple[str, ...]
    fisher_every: int = Field(ge=1)
    window: int = Field(ge=1)


class Figures(Declaration):
    """The figures drawn from a table's runs: the rows whose unfreezing orders are shown; tr(F) traces."""

    orders: tuple[str, ...] = ()
    trace: Trace | None = None


class Table(Declaration):
    """A table: `panels` of models, each with the same `rows`; datasets side by side in `blocks`.

    `replicates` are the overrides that a mean and std are taken over. `lowest` is the row whose lowest
    target language names the `lowest` column. In `ranked` columns best and second best are marked.
    """

    title: str
    overrides: str
    replicates: tuple[str, ...]
    columns: tuple[Column, ...]
    lowest: str
    ranked: tuple[Column, ...]
    panels: dict[str, Group]
    rows: dict[str, Group]
    blocks: tuple[tuple[str, ...], ...]
    published: dict[str, str] = {}
    figures: Figures = Figures()

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(name for block in self.blocks for name in block)

    def overrides_of(self, panel: str, row: str, dataset: Dataset) -> tuple[str, ...]:
        """The overrides that the replicates of a cell share."""
        parts = (self.panels[panel].overrides, dataset.overrides, self.overrides, self.rows[row].overrides)
        return tuple(shlex.split(" ".join(parts)))


class Paper(Declaration):
    """One file of `papers/`. `name` is the folder that its tables and figures are written to."""

    name: str
    datasets: dict[str, Dataset]
    tables: dict[str, Table]
    published: str | None = None
    errata: str | None = None


@dataclass(frozen=True)
class Place:
    """Where in a table a number stands."""

    panel: str
    row: str
    dataset: str
    column: Column
    metric: str


@dataclass(frozen=True)
class Target:
    """A table by its name, with the paper that declares it."""

    name: str
    paper: Paper

    @property
    def table(self) -> Table:
        return self.paper.tables[self.name]

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        return {name: self.paper.datasets[name] for name in self.table.datasets}

    def places(self) -> Iterator[Place]:
        """Every number of the table: panel by panel, dataset by dataset, row by row."""
        for panel in self.table.panels:
            for name, dataset in self.datasets.items():
                for row in self.table.rows:
                    for column in self.table.columns:
                        for metric in dataset.metrics:
                            yield Place(panel, row, name, column, metric)


def load(path: Path) -> Paper:
    """Read and check one declaration. Raises ConfigError that names the file and the key."""
    try:
        paper = Paper.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ConfigError(f"{path.name}: {'; '.join(problems)}") from None
    for name, table in paper.tables.items():
        _check(table, paper.datasets, f"{path.name}: {name}")
    return paper


def targets(folder: Path = PAPERS) -> dict[str, Target]:
    """Every table of every paper in `folder`, by name. Raises ConfigError where two papers use one name."""
    found: dict[str, Target] = {}
    for path in sorted(folder.glob("*.yaml")):
        paper = load(path)
        for name in paper.tables:
            if name in found:
                raise ConfigError(f"{path.name}: another paper declares a table '{name}' too; rename one.")
            found[name] = Target(name, paper)
    return found


def find(name: str, model: str | None, known: Mapping[str, Target]) -> Target:
    """The target `name`, or its variant for `model`, which is declared as `name-model`."""
    wanted = name if model is None else f"{name}-{model}"
    if wanted not in known:
        raise ConfigError(f"unknown target '{wanted}'; valid targets: {', '.join(sorted(known))}.")
    return known[wanted]


def _check(table: Table, datasets: Mapping[str, Dataset], where: str) -> None:
    _among([table.lowest], table.rows, f"{where}.lowest")
    _among(table.datasets, datasets, f"{where}.blocks")
    _among(table.ranked, table.columns, f"{where}.ranked")
    _among(table.figures.orders, table.rows, f"{where}.figures.orders")
    if table.figures.trace is not None:
        _among(table.figures.trace.rows, table.rows, f"{where}.figures.trace.rows")
    lists = {"replicates": table.replicates, "columns": table.columns, "blocks": table.datasets}
    for what, names in lists.items():
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"{where}.{what} is {list(names)}; expected at least one entry and none twice.")


def _among(names: Iterable[str], valid: Iterable[str], where: str) -> None:
    allowed = list(valid)
    for name in names:
        if name not in allowed:
            raise ConfigError(f"{where}: '{name}' is not declared; valid: {', '.join(allowed)}.")
