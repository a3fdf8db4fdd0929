"""A table of results: which runs stand behind each of its numbers, and which printed number beside it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import ClassVar, Literal

from reproduce.declare import over
from reproduce.declare.over import LOWEST, Over
from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import (
    LANGUAGE,
    Dataset,
    Declaration,
    Group,
    Needed,
    Replicated,
    Run,
    merged,
    undeclared,
    words,
)
from reproduce.declare.published import SELECTED, Number


class Rank(StrEnum):
    """How a cell compares within its column and panel."""

    best = "best"
    second = "second"


class Column(Declaration):
    """A column: what its numbers are over, and what it adds to the overrides of its runs.

    `of` is what an `Over` is declared as; without it the column's own name is meant. `metrics`: all of the dataset's,
    or the main one. `spread`: whether the std is typeset (it is always in the CSV file). `published` adds to the
    selection of published numbers.
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


Sources = Mapping[str, Run]
"""What one replicate of a number is read from: language -> the run; of a mean of data sets, data set and language."""


@KINDS.register("table")
class Table(Replicated, Target):
    """A table: `panels` of models, each with the same `rows`; datasets side by side in `blocks`.

    With a `reference` row the last column's difference to it is shown, run by run of the same replicate, and what
    the runs cost. `lowest` is the row whose lowest target language names the `lowest` column of a panel; for the
    datasets in `own_lowest` each row shows its own lowest language instead. In `ranked` columns the cells that have
    one of `ranks` are marked.
    """

    selectors: ClassVar[tuple[str, ...]] = SELECTED
    """What `published` of the table, its panels, rows and columns must select together."""

    overrides: str
    columns: dict[str, Column]
    reference: str | None = None
    lowest: str | None = None
    own_lowest: tuple[str, ...] = ()
    ranked: tuple[str, ...] = ()
    ranks: tuple[Rank, ...] = (Rank.best, Rank.second)
    panels: dict[str, Group]
    rows: dict[str, Group]
    blocks: tuple[tuple[str, ...], ...]
    published: Mapping[str, str] = {}

    @cached_property
    def datasets(self) -> Mapping[str, Dataset]:
        """Its data sets, from block to block."""
        return {name: self.paper.datasets[name] for block in self.blocks for name in block}

    def over(self, column: str) -> Over:
        """What a column's numbers are over."""
        return Over(self.columns[column].of or column)

    def replicates_of(self, row: str, dataset: str) -> tuple[str, ...]:
        """The replicates that a row's means and stds on a data set are taken over; none of a quoted row."""
        group = self.rows[row]
        return () if group.quoted else group.own_replicates(dataset) or self.own_replicates(dataset)

    def mean_of(self, place: Place) -> list[Place]:
        """The numbers whose mean stands at a place; none but for a mean of data sets."""
        datasets = self.paper.datasets
        names = datasets[place.dataset].mean_of
        return [replace(place, dataset=name, metric=datasets[name].main_metric) for name in names]

    def sources(self, place: Place) -> list[Sources]:
        """What each declared replicate of a number is read from, in every language that it needs."""
        if mean_of := self.mean_of(place):
            each = [(part, self.sources(part)) for part in mean_of]
            return [
                {f"{part.dataset} {language}": run for part, own in each for language, run in own[number].items()}
                for number in range(len(each[0][1]))
            ]
        dataset, row = self.paper.datasets[place.dataset], self.rows[place.row]
        parts = (self.panels[place.panel].overrides, dataset.overrides, self.overrides, row.overrides)
        overrides = " ".join((*parts, self.columns[place.column].overrides))
        return [
            {
                language: words(overrides.replace(LANGUAGE, self._read_for(language, row, dataset)), replicate)
                for language in self.over(place.column).languages(dataset)
            }
            for replicate in self.replicates_of(place.row, place.dataset)
        ]

    def metrics(self, column: str, dataset: Dataset) -> tuple[str, ...]:
        """The metrics that a column shows for a dataset; none for a language that the dataset does not have."""
        if not {*self.over(column).languages(dataset)} <= {*dataset.languages}:
            return ()
        return tuple(dataset.metrics) if self.columns[column].metrics == "all" else (dataset.main_metric,)

    def places(self) -> Iterator[Place]:
        """Every number of the table: panel by panel, dataset by dataset, row by row."""
        for panel, (name, dataset), row, column in product(self.panels, self.datasets.items(), self.rows, self.columns):
            for metric in self.metrics(column, dataset):
                yield Place(panel, row, name, column, metric)

    def needed(self) -> list[Needed]:
        """Every run of the table once, in the table's order."""
        return self.needed_for(self.places())

    def needed_for(self, places: Iterable[Place]) -> list[Needed]:
        """Every run that these numbers are read from, once, in their order."""
        return merged(
            Needed(run, ((self.paper.datasets[place.dataset].reads, language, place.metric),))
            for whole in places
            for place in self.mean_of(whole) or [whole]
            for replicate in self.sources(place)
            for language, run in replicate.items()
        )

    def deciding(self, place: Place) -> Place:
        """The place whose languages' means say which is the lowest that is shown at `place`."""
        own = place.dataset in self.own_lowest or self.lowest is None
        row, metric = place.row if own else str(self.lowest), self.datasets[place.dataset].main_metric
        return Place(place.panel, row, place.dataset, place.column, metric)

    def number(self, place: Place) -> Number | None:
        """The number printed at a place, None where the paper prints none."""
        dataset = self.datasets[place.dataset]
        measured = dataset.printed(place.metric)
        language = self.over(place.column).printed(dataset)
        return self.paper.published.number({**self._selected(place), **measured, "language": language})

    def errata(self, place: Place) -> tuple[str, ...]:
        """Known errors that touch the number printed at a place, without those of its whole dataset."""
        where = {**self.datasets[place.dataset].printed(place.metric), "column": place.column, "metric": place.metric}
        return self.paper.published.errata(self._selected(place) | where)

    def dataset_errata(self, dataset: str) -> tuple[str, ...]:
        """Known errors of everything that it prints for a dataset."""
        declared = self.datasets[dataset]
        where = {**self.published, "dataset": declared.printed(declared.main_metric)["dataset"]}
        return self.paper.published.errata(where, whole_dataset=True)

    def problems(self) -> Iterator[str]:
        names = [name for block in self.blocks for name in block]
        if unknown := list(undeclared("blocks", names, self.paper.datasets)):
            yield unknown[0]
            return
        for name, dataset in self.datasets.items():
            yield from undeclared(f"datasets.{name}.mean_of", dataset.mean_of, self.paper.datasets)
        columns = [self.over(column) for column in self.columns]
        languages = dict.fromkeys(name for dataset in self.datasets.values() for name in dataset.languages)
        valid = [*(kind.of for kind in over.KINDS), *languages]
        yield from undeclared("own_lowest", self.own_lowest, names)
        yield from undeclared("ranked", self.ranked, self.columns)
        yield from undeclared("columns", (column.of for column in columns), valid)
        yield from undeclared("lowest", filter(None, [self.lowest]), self.rows)
        yield from undeclared("reference", filter(None, [self.reference]), self.rows)
        if (LOWEST in columns) != (self.lowest is not None):
            yield "lowest: a column over the lowest language and `lowest: <row>` go together"
        yield from self._wrong_lists(names)
        yield from self._wrong_rows(columns)

    def _wrong_lists(self, names: list[str]) -> Iterator[str]:
        lists: dict[str, tuple[str, ...]] = {"columns": tuple(self.columns), "blocks": tuple(names)}
        for row, group in self.rows.items():
            if not group.quoted:
                lists |= {f"rows.{row}.replicates on {name}": self.replicates_of(row, name) for name in names}
        for what, listed in lists.items():
            if not listed or len(set(listed)) < len(listed):
                yield f"{what} is {list(listed)}; expected at least one entry and none twice"

    def _wrong_rows(self, columns: list[Over]) -> Iterator[str]:
        sources = any(
            dataset.source in column.languages(dataset) for column in columns for dataset in self.datasets.values()
        )
        for name, row in self.rows.items():
            if sources and LANGUAGE in row.overrides and row.source_from is None:
                yield f"rows.{name}: a run for each {LANGUAGE}; say by `source_from` whose gives the source language"
        if not self.published:
            return
        for panel, row, column in product(self.panels.values(), self.rows.values(), self.columns.values()):
            selected = {*self.published, *panel.published, *row.published, *column.published}
            if missing := [selector for selector in self.selectors if selector not in selected]:
                yield f"`published` selects no {', '.join(missing)} for row {row.label}"

    def _read_for(self, language: str, row: Group, dataset: Dataset) -> str:
        return row.source_from if row.source_from and language == dataset.source else language

    def _selected(self, place: Place) -> dict[str, str]:
        panel, row, column = self.panels[place.panel], self.rows[place.row], self.columns[place.column]
        return {**self.published, **panel.published, **row.published, **column.published}
