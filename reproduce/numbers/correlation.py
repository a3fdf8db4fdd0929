"""How the distance of languages' Fishers goes with transfer (L2 paper, Table 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fun.models.files import FISHER
from reproduce.declare.tables import Correlation
from reproduce.numbers.cells import Statistic, record_of
from reproduce.runs.store import Done, Results, value

if TYPE_CHECKING:
    from fun.fisher.frechet import Distances


@dataclass(frozen=True)
class Pairs:
    """A cell: d² of the Fishers of target languages from the source's, and transfer into them, in percent.

    Of `declared` languages those that have both; the coefficients are over all of them, or there are none.
    """

    declared: int
    squared: Sequence[float]
    squared_in_layers: Sequence[float]
    transfers: Sequence[float]

    @property
    def complete(self) -> bool:
        return len(self.transfers) == self.declared

    def coefficients(self, distances: Sequence[float]) -> tuple[float, float, float, float]:
        """Pearson's r with transfer and Spearman's ρ, each with its two-sided p: r, p, ρ, p."""
        from scipy import stats  # it takes a second to import

        r, p = stats.pearsonr(distances, self.transfers)
        rho, p_rho = stats.spearmanr(distances, self.transfers)
        return float(r), float(p), float(rho), float(p_rho)


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
    return Pairs(
        declared=len(languages),
        squared=[distances.squared for distances, _ in measured],
        squared_in_layers=[distances.squared_in_layers for distances, _ in measured],
        transfers=[mean for _, mean in measured],
    )


@cache
def _distances(first: Path, second: Path) -> "Distances":
    """From files that nothing changes: read once for every data set, table and claim."""
    from fun.fisher.frechet import distances  # torch

    return distances(first, second)
