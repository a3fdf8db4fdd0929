"""The numbers that figures draw, as pure functions: smoothed means, groups of runs, orders, transfer."""

from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from fun.errors import FunError
from fun.results import Record
from reproduce.declare.parts import Dataset
from reproduce.numbers.cells import average

K = TypeVar("K", bound=Hashable)


def transfer(record: Record, dataset: Dataset) -> float | None:
    """The average over a test set's target languages by its main metric, in percent; None where one is absent."""
    return average(dict.fromkeys(dataset.targets, record), dataset.reads, dataset.targets, dataset.main_metric)


def moving_average(curves: Sequence[Mapping[int, float]], window: int, where: str) -> tuple[list[int], list[float]]:
    """Updates and values: the curves' mean at the updates that all have, averaged over `window` neighbouring points.

    Each average stands at the middle of its window. Raises FunError, which says `where`, for fewer points than that.
    """
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    if len(common) < window:
        raise FunError(f"{where}: the runs share {len(common)} measured updates; the moving average needs {window}.")
    means = [fmean(curve[update] for curve in curves) for update in common]
    averages = [fmean(means[start : start + window]) for start in range(len(common) - window + 1)]
    return common[window // 2 :][: len(averages)], averages


def grouped(results: Mapping[K, float], points: float) -> list[list[K]]:
    """Runs whose results lie within `points` of the best that has no group yet, best first (FUN, footnote 10)."""
    waiting = sorted(results, key=results.__getitem__, reverse=True)
    groups: list[list[K]] = []
    while waiting:
        largest = results[waiting[0]]
        groups.append([run for run in waiting if largest - results[run] <= points + 1e-9])  # but for binary fractions
        waiting = waiting[len(groups[-1]) :]
    return groups


def order(record: Record) -> list[int]:
    """A run's layers in the order in which they first opened; those of one update from the top down."""
    opened: list[int] = []
    for stage in record.stages:
        opened += sorted(set(stage["open"]) - set(opened), reverse=True)
    return opened
