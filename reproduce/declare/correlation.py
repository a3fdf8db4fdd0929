"""A table of how languages' Fishers go with transfer."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import LANGUAGE, Declaration, Needed, Run, merged, undeclared, words
from reproduce.declare.published import Number


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
        """The target languages of a cell."""
        return tuple(name for name in self.paper.datasets[dataset].targets if name not in self.rows[row].without)

    def fisher(self, row: str, language: str) -> Run:
        """The run that estimates a language's Fisher."""
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
        fishers, trained = [], []
        for name in self.datasets:
            dataset = self.paper.datasets[name]
            for row in self.rows:
                fishers += [
                    Needed(self.fisher(row, language)) for language in (dataset.source, *self.languages(row, name))
                ]
            trained += [Needed(run, dataset.transfer) for run in self.runs(name)]
        return merged([*fishers, *trained])

    def problems(self) -> Iterator[str]:
        yield from undeclared("datasets", self.datasets, self.paper.datasets)
        for name, row in self.rows.items():
            if LANGUAGE not in row.overrides:
                yield f"rows.{name}.overrides: found no {LANGUAGE}; each language has a Fisher of its own"
