"""What a paper prints, and its known errors: numbers.csv, settings.csv and errata.csv of its folder."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError

TABLE = "table"

SELECTED = (TABLE, "model", "adapter", "method", "data_size")
"""The columns of numbers.csv that a table, its panels, rows and columns together must select."""

MEASURED = ("model", "adapter", "method", "data_size", "dataset", "metric", "language")
"""The columns that say what a number is of, wherever it is printed."""


@dataclass(frozen=True)
class Number:
    """A printed number: mean and std as printed (std empty where there is none), its language, the stated runs.

    `runs` is None where the paper does not state it.
    """

    mean: str
    std: str
    language: str
    runs: int | None


@dataclass(frozen=True)
class Erratum:
    """A known error of a paper; `selectors` name the cells it touches, a selector left out matches all."""

    selectors: Mapping[str, str]
    text: str

    def touches(self, cell: Mapping[str, str]) -> bool:
        return all(cell.get(name) == value for name, value in self.selectors.items())

    @property
    def whole_dataset(self) -> bool:
        return set(self.selectors) == {TABLE, "dataset"}


class Published:
    """What a paper prints, looked up by the columns of its CSV files."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, str]],
        errata: Sequence[Erratum] = (),
        settings: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self._errata = errata
        self._settings = settings
        self._rows: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
        for row in rows:
            measured = {**row, "language": row["language"].partition(":")[0]}
            self._rows[tuple(measured[column] for column in MEASURED)].append(row)

    def number(self, selected: Mapping[str, str]) -> Number | None:
        """The number that these columns select, None where none is printed; without a table the first that prints it.

        Raises ConfigError where a table prints two, or another table another mean.
        """
        rows = self._rows.get(tuple(selected[column] for column in MEASURED), [])
        others = {column: value for column, value in selected.items() if column not in MEASURED}
        rows = [row for row in rows if all(row[column] == value for column, value in others.items())]
        once = len({row[TABLE] for row in rows}) == len(rows)
        if not once or len({(float(row["mean"]), row["runs"]) for row in rows}) > 1:
            printed = " and ".join(f"{row['mean']} in table {row[TABLE]}" for row in rows)
            raise ConfigError(f"published numbers: found {printed} for {dict(selected)}; expected one.")
        return _number(rows[0]) if rows else None

    def setting(self, selected: Mapping[str, str]) -> str | None:
        """The value printed in a table of settings, by the columns of settings.csv; None where there is none.

        Raises ConfigError where rows with different values match.
        """
        values = {row["value"] for row in self._settings if all(row.get(k) == v for k, v in selected.items())}
        if len(values) > 1:
            raise ConfigError(f"published settings: found {' and '.join(sorted(values))} for {dict(selected)}.")
        return next(iter(values), None)

    def errata(self, cell: Mapping[str, str]) -> tuple[str, ...]:
        """Known errors of a cell, without those of its whole data set.

        Of a table of settings `dataset` is the panel or the row's data set, `model` the row.
        """
        return tuple(e.text for e in self._errata if not e.whole_dataset and e.touches(cell))

    def dataset_errata(self, heading: Mapping[str, str]) -> tuple[str, ...]:
        """Known errors of everything that a table prints for a data set."""
        return tuple(e.text for e in self._errata if e.whole_dataset and e.touches(heading))


def load(folder: Path) -> Published:
    """What a paper's folder says is printed; nothing of a file that is not there."""
    errata = [
        Erratum({k: v for k, v in row.items() if v and k not in ("erratum", "text")}, row["text"])
        for row in _rows(folder / "errata.csv")
    ]
    return Published(_rows(folder / "numbers.csv"), errata, _rows(folder / "settings.csv"))


def _number(row: Mapping[str, str]) -> Number:
    kind, _, named = row["language"].partition(":")
    return Number(row["mean"], row["std"], named or kind, int(row["runs"]) if row["runs"] else None)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
