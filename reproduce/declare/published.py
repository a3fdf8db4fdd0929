"""The published numbers and their known errors, read from `published/*.csv`."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError
from reproduce.declare.papers import AVERAGE, LOWEST, SELECTED, SOURCE, Paper, Place, Target

PUBLISHED = Path(__file__).parents[1] / "published"

LOWEST_PREFIX = "lowest:"


@dataclass(frozen=True)
class Number:
    """A printed number: mean and std as printed (std empty where there is none), its language, the stated runs."""

    mean: str
    std: str
    language: str
    runs: int


@dataclass(frozen=True)
class Erratum:
    """A known error of a paper; `selectors` name the cells it touches, a selector left out matches all."""

    selectors: Mapping[str, str]
    text: str

    def touches(self, cell: Mapping[str, str]) -> bool:
        return all(cell.get(name) == value for name, value in self.selectors.items())

    @property
    def whole_dataset(self) -> bool:
        return set(self.selectors) == {"table", "dataset"}


class Published:
    """The printed numbers of one paper, looked up by the columns of its CSV file."""

    def __init__(
        self, rows: Sequence[Mapping[str, str]], errata: Sequence[Erratum], settings: Sequence[Mapping[str, str]] = ()
    ) -> None:
        self._errata = errata
        self._settings = settings
        self._numbers: dict[tuple[str, ...], Number] = {}
        for row in rows:
            key = (*(row[name] for name in (*SELECTED, "dataset", "metric")), _column(row["language"]))
            if key in self._numbers:
                raise ConfigError(f"published numbers: two rows for {', '.join(key)}; remove one.")
            language = row["language"].removeprefix(LOWEST_PREFIX)
            self._numbers[key] = Number(row["mean"], row["std"], language, int(row["runs"]))

    def number(self, target: Target, place: Place) -> Number | None:
        """The number printed at a place, None where the paper prints none."""
        if not target.table.published:
            return None
        selected = _selected(target, place)
        over = target.table.over(place.column)
        column = target.datasets[place.dataset].source if over == SOURCE else over
        key = (*(selected[name] for name in SELECTED), place.dataset, place.metric, column)
        return self._numbers.get(key)

    def average(self, selected: Mapping[str, str], dataset: str, metric: str) -> Number | None:
        """The average over target languages printed in the row that these columns select, None where there is none."""
        return self._numbers.get((*(selected[name] for name in SELECTED), dataset, metric, AVERAGE))

    def errata(self, target: Target, place: Place) -> tuple[str, ...]:
        """Known errors that touch the number printed at a place, without those of its whole dataset."""
        if not target.table.published:
            return ()
        where = {"dataset": place.dataset, "column": place.column, "metric": place.metric}
        cell = _selected(target, place) | where
        return tuple(e.text for e in self._errata if not e.whole_dataset and e.touches(cell))

    def dataset_errata(self, target: Target, dataset: str) -> tuple[str, ...]:
        """Known errors of everything that a table prints for a dataset."""
        if not target.table.published:
            return ()
        heading = {**target.table.published, "dataset": dataset}
        return tuple(e.text for e in self._errata if e.whole_dataset and e.touches(heading))

    def setting(self, selected: Mapping[str, str]) -> str | None:
        """The value printed in a table of settings, by the columns of its CSV file; None where there is none.

        Raises ConfigError where rows with different values match.
        """
        values = {row["value"] for row in self._settings if all(row.get(k) == v for k, v in selected.items())}
        if len(values) > 1:
            raise ConfigError(f"published settings: found {' and '.join(sorted(values))} for {dict(selected)}.")
        return next(iter(values), None)

    def touching(self, cell: Mapping[str, str]) -> tuple[str, ...]:
        """Known errors of a cell of a table of settings; `dataset` is its panel, `model` its row."""
        return tuple(erratum.text for erratum in self._errata if erratum.touches(cell))


def load(paper: Paper, folder: Path = PUBLISHED) -> Published:
    """The published numbers and errata that a paper names; none where it names no file.

    Raises ConfigError for a file that is not there, and for one that prints two numbers for one cell.
    """
    errata = [
        Erratum({k: v for k, v in row.items() if v and k not in ("erratum", "text")}, row["text"])
        for row in _read(folder, paper.errata)
    ]
    settings = [row for name in paper.published_settings for row in _read(folder, name)]
    return Published(_read(folder, paper.published), errata, settings)


def _read(folder: Path, name: str | None) -> list[dict[str, str]]:
    if name is None:
        return []
    try:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise ConfigError(f"a paper names the file {name}, which is not in {folder.name}/.") from None


def _selected(target: Target, place: Place) -> dict[str, str]:
    table = target.table
    panel, row, column = table.panels[place.panel], table.rows[place.row], table.columns[place.column]
    return {**table.published, **panel.published, **row.published, **column.published}


def _column(language: str) -> str:
    if language == "avg":
        return AVERAGE
    return LOWEST if language.startswith(LOWEST_PREFIX) else language
