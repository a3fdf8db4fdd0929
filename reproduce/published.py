"""The published numbers and their known errors, read from `published/*.csv`."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reproduce.papers import Column, Paper, Place, Target

PUBLISHED = Path(__file__).with_name("published")

LOWEST = "lowest:"
SELECTED = ("table", "model", "adapter", "method", "data_size")


@dataclass(frozen=True)
class Number:
    """A printed number: mean and std as printed (std empty where there is none), and its language."""

    mean: str
    std: str
    language: str


@dataclass(frozen=True)
class Erratum:
    """A known error of a paper; `selectors` name the cells it touches, a selector left out matches all."""

    selectors: Mapping[str, str]
    text: str

    def touches(self, cell: Mapping[str, str]) -> bool:
        return all(cell[name] == value for name, value in self.selectors.items())

    @property
    def whole_dataset(self) -> bool:
        return set(self.selectors) == {"table", "dataset"}


class Published:
    """The printed numbers of one paper, looked up by the columns of its CSV file."""

    def __init__(self, rows: Sequence[Mapping[str, str]], errata: Sequence[Erratum]) -> None:
        self._errata = errata
        self._numbers: dict[tuple[str, ...], Number] = {}
        for row in rows:
            key = (*(row[name] for name in (*SELECTED, "dataset", "metric")), _column(row["language"]))
            if key in self._numbers:
                raise ValueError(f"published numbers: two rows for {key}")
            self._numbers[key] = Number(row["mean"], row["std"], row["language"].removeprefix(LOWEST))

    def number(self, target: Target, place: Place) -> Number | None:
        """The number printed at a place, None where the paper prints none."""
        if not target.table.published:
            return None
        selected = _selected(target, place)
        source = target.datasets[place.dataset].source
        column = source if place.column is Column.source else place.column.value
        key = (*(selected[name] for name in SELECTED), place.dataset, place.metric, column)
        return self._numbers.get(key)

    def errata(self, target: Target, place: Place) -> tuple[str, ...]:
        """Known errors that touch the number printed at a place, without those of its whole dataset."""
        if not target.table.published:
            return ()
        cell = {
            **_selected(target, place),
            "dataset": place.dataset,
            "column": place.column.value,
            "metric": place.metric,
        }
        return tuple(e.text for e in self._errata if not e.whole_dataset and e.touches(cell))

    def dataset_errata(self, target: Target, dataset: str) -> tuple[str, ...]:
        """Known errors of everything that a table prints for a dataset."""
        if not target.table.published:
            return ()
        heading = {**target.table.published, "dataset": dataset}
        return tuple(e.text for e in self._errata if e.whole_dataset and e.touches(heading))


def load(paper: Paper, folder: Path = PUBLISHED) -> Published:
    """The published numbers and errata that a paper names; none where it names no file."""
    errata = [
        Erratum({k: v for k, v in row.items() if v and k not in ("erratum", "text")}, row["text"])
        for row in _read(folder, paper.errata)
    ]
    return Published(_read(folder, paper.published), errata)


def _read(folder: Path, name: str | None) -> list[dict[str, str]]:
    if name is None:
        return []
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _selected(target: Target, place: Place) -> dict[str, str]:
    table = target.table
    return {**table.published, **table.panels[place.panel].published, **table.rows[place.row].published}


def _column(language: str) -> str:
    if language == "avg":
        return Column.average.value
    return Column.lowest.value if language.startswith(LOWEST) else language
