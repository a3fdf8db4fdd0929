"""Tables of results: which runs stand behind each of their numbers, and which printed number beside it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import ClassVar, Literal

from pydantic import Field

from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import LANGUAGE, Dataset, Declaration, Group, Needed, Run, merged, undeclared, words
from reproduce.declare.published import SELECTED, Number


@dataclass(frozen=True)
class Over:
    """What a column is over: `source`, `lowest`, `average`, `average with source`, or a language's code."""

    of: str

    def languages(self, dataset: Dataset) -> tuple[str, ...]:
        """What a run must be evaluated in; of `lowest` every target language, as it turns out to be one of them."""
        if self == SOURCE:
            return (dataset.source,)
        if self == AVERAGE_WITH_SOURCE:
            return dataset.languages
        return dataset.targets if self in (LOWEST, AVERAGE) else (self.of,)

    @property
    def average(self) -> bool:
        return self in (AVERAGE, AVERAGE_WITH_SOURCE)

    def printed(self, dataset: Dataset) -> str:
        """What numbers.csv calls it, without the language that `lowest:` goes on with."""
        return "avg" if self.average else "lowest" if self == LOWEST else self.languages(dataset)[0]

    def label(self, dataset: Dataset) -> str:
        """The heading of its column: `En`, `Lowest`, `Average`, `Average with En`."""
        if self == AVERAGE_WITH_SOURCE:
            return f"Average with {dataset.source.title()}"
        return "Average" if self.average else "Lowest" if self == LOWEST else self.languages(dataset)[0].title()


SOURCE, LOWEST, AVERAGE = Over("source"), Over("lowest"), Over("average")
AVERAGE_WITH_SOURCE = Over("average with source")


class Rank(StrEnum):
    """How a cell compares within its column and panel."""

    best = "best"
    second = "second"


class Column(Declaration):
    """A column: what its numbers are over, and what it adds to its runs' overrides and the selection of published ones.

    `of` is what an `Over` is declared as; without it the column's own name is meant. `metrics`: all of the dataset's,
    or the main one. `spread`: whether the std is typeset (it is always in the CSV file).
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


@KINDS.register("table")
class Table(Target):
    """A table: `panels` of models, each with the same `rows`; datasets side by side in `blocks`.

    `replicates` are the overrides that a mean and std are taken over, a seed or a setting; `replicates_on` those on a
    data set where they are others. With a `reference` row the last column's difference to it is shown, run by run of
    the same replicate, and what the runs cost. `lowest` is the row whose lowest target language names the `lowest`
    column of a panel; for the datasets in `own_lowest` each row shows its own lowest language instead. In `ranked`
    columns the cells that have one of `ranks` are marked.
    """

    selectors: ClassVar[tuple[str, ...]] = SELECTED
    """What `published` of the table, its panels, rows and columns must select together."""

    overrides: str
    replicates: tuple[str, ...] = ()
    replicates_on: Mapping[str, tuple[str, ...]] = {}
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
        return {name: self.paper.datasets[name] for block in self.blocks for name in block}

    def over(self, column: str) -> Over:
        return Over(self.columns[column].of or column)

    def replicates_of(self, row: str, dataset: str) -> tuple[str, ...]:
        """The replicates that a row's means and stds on a data set are taken over; none of a quoted row."""
        group = self.rows[row]
        return () if group.quoted else group.replicates or self.replicates_on.get(dataset, self.replicates)

    def mean_of(self, place: Place) -> list[Place]:
        """The numbers whose mean stands at a place; none but for a mean of data sets."""
        names, datasets = self.paper.datasets[place.dataset].mean_of, self.paper.datasets
        return [replace(place, dataset=name, metric=datasets[name].main_metric) for name in names]

    def sources(self, place: Place) -> list[dict[str, Run]]:
        """For each replicate of a number language -> the run that it is read from; none of a quoted row.

        Of a mean of data sets: data set and language -> the run.
        """
        if mean_of := self.mean_of(place):
            each = [(part, self.sources(part)) for part in mean_of]
            return [
                {f"{part.dataset} {language}": run for part, own in each for language, run in own[number].items()}
                for number in range(len(each[0][1]))
            ]
        dataset, row = self.paper.datasets[place.dataset], self.rows[place.row]
        parts = (self.panels[place.panel].overrides, dataset.overrides, self.overrides, row.overrides)
        overrides = " ".join((*parts, self.columns[place.column].overrides))
        read_for = {dataset.source: row.source_from} if row.source_from else {}  # else each language for itself
        return [
            {
                language: words(overrides.replace(LANGUAGE, read_for.get(language, language)), replicate)
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
        row = place.row if own else str(self.lowest)
        return replace(place, row=row, metric=self.datasets[place.dataset].main_metric)

    def number(self, place: Place) -> Number | None:
        """The number printed at a place, None where the paper prints none."""
        dataset = self.datasets[place.dataset]
        where = {**self._selected(place), **dataset.printed(place.metric)}
        return self.paper.published.number({**where, "language": self.over(place.column).printed(dataset)})

    def errata(self, place: Place) -> tuple[str, ...]:
        """Known errors that touch the number printed at a place, without those of its whole dataset."""
        where = {**self._selected(place), **self.datasets[place.dataset].printed(place.metric)}
        return self.paper.published.errata({**where, "column": place.column, "metric": place.metric})

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
        valid = [*(over.of for over in (SOURCE, LOWEST, AVERAGE, AVERAGE_WITH_SOURCE)), *languages]
        yield from undeclared("own_lowest", self.own_lowest, names)
        yield from undeclared("ranked", self.ranked, self.columns)
        yield from undeclared("columns", (over.of for over in columns), valid)
        yield from undeclared("lowest", filter(None, [self.lowest]), self.rows)
        yield from undeclared("reference", filter(None, [self.reference]), self.rows)
        if (LOWEST in columns) != (self.lowest is not None):
            yield "lowest: a column over the lowest language and `lowest: <row>` go together"
        lists: dict[str, tuple[str, ...]] = {"columns": tuple(self.columns), "blocks": tuple(names)}
        for row, name in product(self.rows, names):
            if not self.rows[row].quoted:
                lists[f"rows.{row}.replicates on {name}"] = self.replicates_of(row, name)
        for what, listed in lists.items():
            if not listed or len(set(listed)) < len(listed):
                yield f"{what} is {list(listed)}; expected at least one entry and none twice"
        yield from self._wrong_rows(columns)

    def _wrong_rows(self, columns: list[Over]) -> Iterator[str]:
        sources = any(
            dataset.source in over.languages(dataset) for over in columns for dataset in self.datasets.values()
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

    def _selected(self, place: Place) -> dict[str, str]:
        panel, row, column = self.panels[place.panel], self.rows[place.row], self.columns[place.column]
        return {**self.published, **panel.published, **row.published, **column.published}


class Corpus(Declaration):
    """A row: text that Fishers are estimated on by the runs of `overrides`, with `{language}`, but `without` some."""

    label: str
    overrides: str
    without: tuple[str, ...] = ()
    published: Mapping[str, str] = {}


@KINDS.register("correlation")
class Correlation(Target):
    """The correlation over target languages of a Fisher's distance from the source's with transfer (L2 paper, Table 5).

    A column per data set; transfer is the mean over `replicates` of the runs that `overrides` trains.
    """

    overrides: str
    replicates: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, Corpus]
    datasets: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}

    def languages(self, row: str, dataset: str) -> tuple[str, ...]:
        return tuple(name for name in self.paper.datasets[dataset].targets if name not in self.rows[row].without)

    def fisher(self, row: str, language: str) -> Run:
        return words(self.rows[row].overrides.replace(LANGUAGE, language))

    def runs(self, dataset: str) -> list[Run]:
        """The runs whose transfer is looked at, one per replicate."""
        overrides = self.paper.datasets[dataset].overrides
        return [words(self.overrides, overrides, replicate) for replicate in self.replicates]

    def number(self, row: str, dataset: str) -> Number | None:
        """The printed coefficient of a cell, None where the paper prints none."""
        selected = {**self.published, **self.rows[row].published, "dataset": self.paper.datasets[dataset].reads}
        return self.paper.published.number(selected) if self.published else None

    def needed(self) -> list[Needed]:
        datasets = {name: self.paper.datasets[name] for name in self.datasets}
        fishers = [
            Needed(self.fisher(row, language))
            for name, dataset in datasets.items()
            for row in self.rows
            for language in (dataset.source, *self.languages(row, name))
        ]
        trained = [Needed(run, own.values(own.targets)) for name, own in datasets.items() for run in self.runs(name)]
        return merged([*fishers, *trained])

    def problems(self) -> Iterator[str]:
        yield from undeclared("datasets", self.datasets, self.paper.datasets)
        for name, row in self.rows.items():
            if LANGUAGE not in row.overrides:
                yield f"rows.{name}.overrides: found no {LANGUAGE}; each language has a Fisher of its own"
