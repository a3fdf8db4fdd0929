"""What a paper prints, and its known errors: numbers.csv, settings.csv and errata.csv of its folder."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError

TABLE = "table"

SELECTED = (TABLE, "model", "adapter", "method", "data_size")
"""The columns of numbers.csv that a table, its panels, rows and columns together must select."""

MEASURED = ("model", "adapter", "method", "data_size", "dataset", "metric", "language")
"""The columns that say what a number is of, wherever it is printed."""

NOWHERE = "not printed"
"""Stands for a column of which a table that prints nothing selects none."""

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Number:
    """A printed number: mean and std as printed (std empty where there is none), its language, the stated runs.

    `runs` is None where the paper does not state it.
    """

    mean: str
    std: str
    language: str
    runs: int | None


class Published:
    """What a paper prints, looked up by the columns of its CSV files."""

    def __init__(self, numbers: Rows, errata: Rows = (), settings: Rows = ()) -> None:
        self._errata = errata
        self._settings = settings
        self._numbers: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
        for row in numbers:
            measured = {**row, "language": row["language"].partition(":")[0]}
            self._numbers[tuple(measured[column] for column in MEASURED)].append(row)

    def number(self, selected: Mapping[str, str]) -> Number | None:
        """The number that these columns select, None where none is printed; without a table the first that prints it.

        Raises ConfigError where a table prints two, or another table another mean.
        """
        rows = self._numbers.get(tuple(selected.get(column, NOWHERE) for column in MEASURED), [])
        others = {column: value for column, value in selected.items() if column not in MEASURED}
        rows = [row for row in rows if others.items() <= row.items()]
        once = len({row[TABLE] for row in rows}) == len(rows)
        if not once or len({(float(row["mean"]), row["runs"]) for row in rows}) > 1:
            printed = " and ".join(f"{row['mean']} in table {row[TABLE]}" for row in rows)
            raise ConfigError(f"published numbers: found {printed} for {dict(selected)}; expected one.")
        for row in rows:
            kind, _, named = row["language"].partition(":")
            return Number(row["mean"], row["std"], named or kind, int(row["runs"]) if row["runs"] else None)
        return None

    def setting(self, selected: Mapping[str, str]) -> str:
        """The value printed in a table of settings, by the columns of settings.csv; empty where there is none.

        Raises ConfigError where rows with different values match.
        """
        values = {row["value"] for row in self._settings if selected.items() <= row.items()}
        if len(values) > 1:
            raise ConfigError(f"published settings: found {' and '.join(sorted(values))} for {dict(selected)}.")
        return "".join(values)

    def errata(self, cell: Mapping[str, str], *, whole_dataset: bool = False) -> tuple[str, ...]:
        """Known errors of a cell, or of everything that a table prints for a data set.

        A column that errata.csv leaves empty matches all. Of a table of settings `dataset` is the panel or the row's
        data set, `model` the row.
        """
        return tuple(
            row["text"]
            for row in self._errata
            if (named := {name: value for name, value in row.items() if value and name not in ("erratum", "text")})
            and named.items() <= cell.items()
            and (named.keys() == {TABLE, "dataset"}) is whole_dataset
        )


def load(folder: Path) -> Published:
    """What a paper's folder says is printed; nothing of a file that is not there."""
    return Published(*(list(_rows(folder / f"{name}.csv")) for name in ("numbers", "errata", "settings")))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
