"""What a paper prints, and its known errors: numbers.csv, settings.csv and errata.csv of its folder."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fun.errors import ConfigError

SELECTED = ("table", "model", "adapter", "method", "data_size")
"""The columns of numbers.csv that a table, its panels, rows and columns together must select."""

MEASURED = ("model", "adapter", "method", "data_size", "dataset", "metric", "language")
"""The columns that say what a number is of, wherever it is printed."""

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Number:
    """A printed number: mean and std as printed (std empty where there is none), its language, the runs if stated."""

    mean: str
    std: str
    language: str
    runs: int | None


class Published:
    """What a paper prints, looked up by the columns of its CSV files."""

    def __init__(self, numbers: Rows, errata: Rows = (), settings: Rows = ()) -> None:
        self._errata = errata
        self._settings = settings
        self._numbers: dict[tuple[str | None, ...], list[Mapping[str, str]]] = defaultdict(list)
        for row in numbers:
            measured = {**row, "language": row["language"].partition(":")[0]}
            self._numbers[tuple(measured[column] for column in MEASURED)].append(row)

    def number(self, selected: Mapping[str, str]) -> Number | None:
        """The number that these columns select, None where none is printed; without a table the first that prints it.

        Raises ConfigError where a table prints two, or another table another mean.
        """
        others = {column: value for column, value in selected.items() if column not in MEASURED}
        measured = self._numbers.get(tuple(selected.get(column) for column in MEASURED), [])
        rows = [row for row in measured if others.items() <= row.items()]
        if not rows:
            return None
        once = len({row["table"] for row in rows}) == len(rows)
        if not once or len({(float(row["mean"]), row["runs"]) for row in rows}) > 1:
            printed = " and ".join(f"{row['mean']} in table {row['table']}" for row in rows)
            raise ConfigError(f"published numbers: found {printed} for {dict(selected)}; expected one.")
        first = rows[0]
        kind, _, named = first["language"].partition(":")
        return Number(first["mean"], first["std"], named or kind, int(first["runs"]) if first["runs"] else None)

    def setting(self, selected: Mapping[str, str]) -> str:
        """The value in settings.csv, empty where there is none. Raises ConfigError where there are several."""
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
            and (named.keys() == {"table", "dataset"}) is whole_dataset
        )
