"""Parquet files as one table, by pyarrow: `datasets.load_dataset` takes the names of files for patterns."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow.parquet import ParquetFile


class Parquet:
    """The rows of some files, in their order.

    Raises what `refusal` makes of pyarrow's exception where one is cut off, or where text is no UTF-8.
    """

    def __init__(self, files: Sequence[Path], refusal: Callable[[Exception], Exception]) -> None:
        self._refusal = refusal
        with self.reading():
            self.files = [ParquetFile(file) for file in files]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While a file is read."""
        try:
            yield
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._refusal(error) from error

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return list(self.files[0].schema_arrow.names)

    def names(self, column: str) -> list[str] | None:
        """The names of a column's numbers 0, 1, …, as `datasets` writes them beside it; None where it has none."""
        described = (self.files[0].schema_arrow.metadata or {}).get(b"huggingface")
        features = json.loads(described)["info"]["features"] if described else {}
        feature = features.get(column, {})
        names: list[str] | None = feature.get("feature", feature).get("names")  # of a list's elements
        return names

    def rows(self, columns: Sequence[str]) -> list[dict[str, Any]]:
        """All rows with these columns."""
        with self.reading():
            return [row for file in self.files for row in file.read(columns=list(columns)).to_pylist()]


class Texts(Sequence[str]):
    """A column of text, of which one row group is in memory at a time: ask for ascending positions."""

    def __init__(self, table: Parquet, column: str) -> None:
        self._table, self._column = table, column
        self._groups = [(file, number) for file in table.files for number in range(file.num_row_groups)]
        sizes = [file.metadata.row_group(number).num_rows for file, number in self._groups]
        self._starts: list[int] = list(accumulate(sizes, initial=0))
        self._read: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, position: Any) -> Any:
        group = bisect_right(self._starts, position) - 1
        if group != self._read[0]:
            file, number = self._groups[group]
            with self._table.reading():
                self._read = group, file.read_row_group(number, columns=[self._column]).column(0).to_pylist()
        return self._read[1][position - self._starts[group]]
