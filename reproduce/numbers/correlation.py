"""How the distance of languages' Fishers goes with transfer (L2 paper, Table 5)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fun.models.files import FISHER
from reproduce.declare.correlation import Correlation
from reproduce.numbers.cells import Statistic, record_of
from reproduce.runs.store import Done, Results, value

if TYPE_CHECKING:
    from fun.fisher.frechet import Distances


@dataclass(frozen=True)
class Pairs:
    """A cell: d² of each target language's Fisher from the source's, and transfer into it, in percent.

    Of `declared` languages those that have both; the coefficients are over all of them, or there are none.
    """

    declared: int
    distances: "tuple[Distances, ...]"
    transfers: tuple[float, ...]

    @property
    def complete(self) -> bool:
        return len(self.transfers) == self.declared

    @property
    def squared(self) -> list[float]:
        return [distance.squared for distance in self.distances]

    @property
    def squared_in_layers(self) -> list[float]:
        return [distance.squared_in_layers for distance in self.distances]

    def pearson(self, distances: list[float]) -> tuple[float, float]:
        """r with transfer, and its two-sided p."""
        from scipy import stats  # it takes a second to import

        r, p = stats.pearsonr(distances, self.transfers)
        return float(r), float(p)

    def spearman(self, distances: list[float]) -> tuple[float, float]:
        """ρ with transfer, and its two-sided p."""
        from scipy import stats

        rho, p = stats.spearmanr(distances, self.transfers)
        return float(rho), float(p)


def pairs(target: Correlation, results: Results, row: str, name: str) -> Pairs:
    """What there is behind a cell. Raises ConfigError for Fishers that do not compare."""
    dataset = target.paper.datasets[name]
    languages = target.languages(row, name)
    records = [record_of(results, run) for run in target.runs(name)]
    source = results[target.fisher(row, dataset.source)]
    measured = []
    for language in languages:
        fisher = results[target.fisher(row, language)]
        values = (None if r is None else value(r, dataset.reads, language, dataset.main_metric) for r in records)
        mean = Statistic(tuple(values)).mean
        if mean is not None and isinstance(source, Done) and isinstance(fisher, Done):
            measured.append((_distances(source.run.path / FISHER, fisher.run.path / FISHER), mean))
    return Pairs(len(languages), tuple(d for d, _ in measured), tuple(mean for _, mean in measured))


@cache
def _distances(first: Path, second: Path) -> "Distances":
    """From files that nothing changes: read once for every data set, table and claim."""
    from fun.fisher.frechet import distances  # torch

    return distances(first, second)
