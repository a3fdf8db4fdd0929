"""What a paper's tables and figures are made of, as declared in `papers/*.yaml`; checked when read.

A *target* is what a command makes: a table of results (`tables:`), a table of hyperparameters or data sets
(`settings:`) or a figure (`figures:`), by a name that no other target has; `<name>-<model>` is its variant
for another model (`--model`). Whatever it is, its declaration

- is a closed `Declaration` with a `title`, and
- says by `needed(paper)` which runs it is made from, and what of each: a list of `Needed`, without two for
  one run (`declarations.merged`). Tables of settings need none.

So planning, running and submitting take any target: `plan.needed_runs(target)`. What is drawn from the runs
found is the business of `cells` and `table`, `settings`, and `figures`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from fun.errors import ConfigError
from reproduce.declare.figures import Figure
from reproduce.declare.figures import problems as figure_problems
from reproduce.declare.parts import Dataset, Declaration, Group, Needed, among, merged, read, words
from reproduce.declare.settings import Settings
from reproduce.declare.settings import problems as settings_problems

PAPERS = Path(__file__).parents[1] / "papers"

SOURCE, LOWEST, AVERAGE = "source", "lowest", "average"

SELECTED = ("table", "model", "adapter", "method", "data_size")
"""The columns of a file of published numbers that a table, its panels, rows and columns together must select."""


class Rank(StrEnum):
    """How a cell compares within its column and panel."""

    best = "best"
    second = "second"


class Column(Declaration):
    """A column: which languages its numbers are over, and what it adds to the overrides of its runs.

    `of` is `source`, `lowest` (the lowest target language), `average` (over all target languages) or a target
    language; without it the column's own name is meant. `metrics`: all of the dataset's, or the main one.
    `spread`: whether the std is typeset (it is always in the CSV file). `published` adds to the selection of
    published numbers.
    """

    of: str | None = None
    label: str | None = None
    overrides: str = ""
    metrics: Literal["all", "main"] = "all"
    spread: bool = True
    published: Mapping[str, str] = {}


@dataclass(frozen=True)
class Place:
    """Where in a table a number stands; each part is a name from the declaration."""

    panel: str
    row: str
    dataset: str
    column: str
    metric: str


class Table(Declaration):
    """A table: `panels` of models, each with the same `rows`; datasets side by side in `blocks`.

    `replicates` are the overrides that a mean and std are taken over. `lowest` is the row whose lowest target
    language names the `lowest` column of a panel; for the datasets in `own_lowest` each row shows its own
    lowest language instead. In `ranked` columns the cells that have one of `ranks` are marked.
    """

    title: str
    overrides: str
    replicates: tuple[str, ...]
    columns: dict[str, Column]
    lowest: str | None = None
    own_lowest: tuple[str, ...] = ()
    ranked: tuple[str, ...] = ()
    ranks: tuple[Rank, ...] = (Rank.best, Rank.second)
    panels: dict[str, Group]
    rows: dict[str, Group]
    blocks: tuple[tuple[str, ...], ...]
    published: Mapping[str, str] = {}

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(name for block in self.blocks for name in block)

    def over(self, column: str) -> str:
        """`source`, `lowest`, `average` or a language."""
        return self.columns[column].of or column

    def replicates_of(self, row: str) -> tuple[str, ...]:
        """The replicates that a row's means and stds are taken over."""
        return self.rows[row].replicates or self.replicates

    def runs(self, panel: str, row: str, dataset: Dataset, column: str | None = None) -> list[tuple[str, ...]]:
        """The overrides of the runs behind a cell, one for each declared replicate."""
        parts = (self.panels[panel].overrides, dataset.overrides, self.overrides, self.rows[row].overrides)
        added = self.columns[column].overrides if column else ""
        return [words(*parts, added, replicate) for replicate in self.replicates_of(row)]

    def metrics(self, column: str, dataset: Dataset) -> tuple[str, ...]:
        """The metrics that a column shows for a dataset; none for a language that the dataset does not have."""
        over = self.over(column)
        if over not in (SOURCE, LOWEST, AVERAGE, *dataset.targets):
            return ()
        return tuple(dataset.metrics) if self.columns[column].metrics == "all" else (dataset.main_metric,)

    def places(self, datasets: Mapping[str, Dataset]) -> Iterator[Place]:
        """Every number of the table: panel by panel, dataset by dataset, row by row."""
        for panel in self.panels:
            for name in self.datasets:
                for row in self.rows:
                    for column in self.columns:
                        for metric in self.metrics(column, datasets[name]):
                            yield Place(panel, row, name, column, metric)

    def needed(self, paper: "Paper") -> list[Needed]:
        """Every run of the table once, in the table's order."""
        return merged(
            Needed(run, self._values(place, paper.datasets[place.dataset]))
            for place in self.places(paper.datasets)
            for run in self.runs(place.panel, place.row, paper.datasets[place.dataset], place.column)
        )

    def _values(self, place: Place, dataset: Dataset) -> tuple[tuple[str, str, str], ...]:
        match self.over(place.column):
            case "source":
                languages: tuple[str, ...] = (dataset.source,)
            case "lowest" | "average":
                languages = dataset.targets
            case language:
                languages = (language,)
        return tuple((place.dataset, language, place.metric) for language in languages)


class Paper(Declaration):
    """One file of `papers/`. `name` is the folder that its tables and figures are written to.

    `published`, `published_settings` and `errata` are files of `published/`.
    """

    name: str
    datasets: dict[str, Dataset]
    tables: Mapping[str, Table] = {}
    settings: Mapping[str, Settings] = {}
    figures: Mapping[str, Figure] = {}
    published: str | None = None
    published_settings: tuple[str, ...] = ()
    errata: str | None = None

    @property
    def targets(self) -> dict[str, Table | Settings | Figure]:
        """Every declaration of the paper by its target's name."""
        return {**self.tables, **self.settings, **self.figures}


@dataclass(frozen=True)
class Target:
    """What a command makes, by its name, with the paper that declares it."""

    name: str
    paper: Paper

    @property
    def declared(self) -> Table | Settings | Figure:
        """Its declaration, whatever it is."""
        return self.paper.targets[self.name]

    @property
    def table(self) -> Table:
        """Its declaration as a table of results. Raises ConfigError where it is none."""
        if self.name not in self.paper.tables:
            raise ConfigError(f"'{self.name}' is not a table of results; those are {', '.join(self.paper.tables)}.")
        return self.paper.tables[self.name]

    @property
    def settings(self) -> Settings:
        """Its declaration as a table of settings. Raises ConfigError where it is none."""
        if self.name not in self.paper.settings:
            raise ConfigError(f"'{self.name}' is not a table of settings; those are {', '.join(self.paper.settings)}.")
        return self.paper.settings[self.name]

    @property
    def figure(self) -> Figure:
        """Its declaration as a figure. Raises ConfigError where it is none."""
        if self.name not in self.paper.figures:
            raise ConfigError(f"'{self.name}' is not a figure; those are {', '.join(self.paper.figures)}.")
        return self.paper.figures[self.name]

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        """The datasets of a table of results."""
        return {name: self.paper.datasets[name] for name in self.table.datasets}

    def places(self) -> Iterator[Place]:
        """Every number of a table of results."""
        return self.table.places(self.paper.datasets)


def load(path: Path) -> Paper:
    """Read and check one declaration. Raises ConfigError that names the file and the key."""
    paper = read(path, TypeAdapter(Paper))
    for name, table in paper.tables.items():
        _check(table, paper.datasets, f"{path.name}: {name}")
    for name, figure in paper.figures.items():
        for problem in figure_problems(figure, paper.datasets):
            raise ConfigError(f"{path.name}: {name}.{problem}")
    for name, settings in paper.settings.items():
        for problem in settings_problems(settings, paper.datasets):
            raise ConfigError(f"{path.name}: {name}.{problem}")
    names = Counter((*paper.tables, *paper.settings, *paper.figures))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ConfigError(f"{path.name}: '{twice[0]}' is declared as two kinds of target; rename one.")
    return paper


def targets(folder: Path = PAPERS) -> dict[str, Target]:
    """Every target of every paper in `folder`, by name. Raises ConfigError where two have one name."""
    found: dict[str, Target] = {}
    for path in sorted(folder.glob("*.yaml")):
        paper = load(path)
        for name in paper.targets:
            if name in found:
                raise ConfigError(f"{path.name}: another paper declares a target '{name}' too; rename one.")
            found[name] = Target(name, paper)
    return found


def find(name: str, model: str | None, known: Mapping[str, Target]) -> Target:
    """The target `name`, or its variant for `model`, which is declared as `name-model`."""
    wanted = name if model is None else f"{name}-{model}"
    if wanted not in known:
        raise ConfigError(f"unknown target '{wanted}'; valid targets: {', '.join(sorted(known))}.")
    return known[wanted]


def _check(table: Table, datasets: Mapping[str, Dataset], where: str) -> None:
    among(table.datasets, datasets, f"{where}.blocks")
    among(table.own_lowest, table.datasets, f"{where}.own_lowest")
    among(table.ranked, table.columns, f"{where}.ranked")
    languages = [language for name in table.datasets for language in datasets[name].targets]
    over = [table.over(column) for column in table.columns]
    among(over, [SOURCE, LOWEST, AVERAGE, *dict.fromkeys(languages)], f"{where}.columns")
    if (LOWEST in over) != (table.lowest is not None):
        raise ConfigError(f"{where}: a column over the lowest language and `lowest: <row>` go together.")
    if table.lowest is not None:
        among([table.lowest], table.rows, f"{where}.lowest")
    if table.published:
        _check_selection(table, where)
    lists: dict[str, Iterable[str]] = {"replicates": table.replicates, "columns": over, "blocks": table.datasets}
    lists |= {f"rows.{name}.replicates": table.replicates_of(name) for name in table.rows}
    for what, names in lists.items():
        listed = list(names)
        if not listed or (what != "columns" and len(set(listed)) != len(listed)):
            raise ConfigError(f"{where}.{what} is {listed}; expected at least one entry and none twice.")


def _check_selection(table: Table, where: str) -> None:
    for panel, row, column in product(table.panels.values(), table.rows.values(), table.columns.values()):
        selected = {*table.published, *panel.published, *row.published, *column.published}
        if missing := [name for name in SELECTED if name not in selected]:
            raise ConfigError(f"{where}: `published` selects no {', '.join(missing)} for row {row.label}.")
