"""The facts about the real data sets, from conf/datasets: where they lie, and how many rows they have."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from fun.errors import ConfigError
from fun.paths import CONFIG_DIR
from fun.yaml_files import from_yaml


class Hub(BaseModel, frozen=True, extra="forbid"):
    """A data set on the hub: its id, a branch, tag or commit, and each split's parquet files, with {language}. Files
    and not configurations: one configuration of XNLI holds 392,702 machine-translated rows beside the test set, and a
    conversion to parquet has no card that names any."""

    id: str
    revision: str = "main"
    files: Mapping[str, str]


class File(BaseModel, frozen=True, extra="forbid"):
    """A publisher's file below data.root, its path with {language}, and how to read it; several, where it is a pattern.

    `treebanks` say which one {treebank} is in a language's path. `part` are the rows [start, end) of it; `languages`
    the only ones that it serves (None: any). `withheld`: whether sentences are rows whose words are all withheld,
    written `_`.
    """

    path: str
    format: str
    treebanks: Mapping[str, str] = {}
    part: tuple[int, int] | None = None
    languages: tuple[str, ...] | None = None
    withheld: bool = True

    def of(self, language: str) -> str:
        """The path of a language's."""
        return self.path.format(language=language, treebank=self.treebanks.get(language, ""))


class Dataset(BaseModel, frozen=True, extra="forbid"):
    """One data set. `columns` are those of the publisher's that a task reads; the source language comes first.

    `labels` name the numbers 0, 1, … of the last column. `rows` are numbers of rows by split, where they differ by
    split and language. `english` is the data set and the split that stand for its missing English test set. `copies`
    are files of the same rows by others, the first of which is read where the split's own is absent; `substitutes` are
    other rows, read so only with data.nonstandard=true. What has no `hub` is not there as the paper has it, and is got
    `by_hand`, perhaps in an `archive` (path, sha256).

    A data set may be declared again in a file of its own, `of` this one and with other `languages`: its name stays,
    and so do its records. With a name of its own, one `tests` on another split of it. What data sets of one
    `publisher` share is in conf/datasets/publishers.
    """

    name: str
    columns: tuple[str, ...]
    languages: tuple[str, ...]
    labels: tuple[str, ...] = ()
    rows: Mapping[str, int | Mapping[str, int]]
    hub: Hub | None = None
    by_hand: str = "put the publisher's file there"
    archive: tuple[str, str] | None = None
    files: Mapping[str, File]
    copies: Mapping[str, tuple[File, ...]] = {}
    substitutes: Mapping[str, File] = {}
    english: tuple[str, str] | None = None

    def expected_rows(self, language: str, split: str) -> int:
        """The number of rows of a split that it has."""
        rows = self.rows[split]
        return rows if isinstance(rows, int) else rows[language]


@cache
def facts(declaration: str) -> Dataset:
    """The facts in conf/datasets/<declaration>.yaml; raises ConfigError where there is no such file."""
    if declaration not in _declarations():
        raise ConfigError(f"data set {declaration!r} is unknown; expected one of {', '.join(_declarations())}")
    values = _read(declaration)
    if publisher := values.pop("publisher", None):
        values = _read(f"publishers/{publisher}") | values
    if original := values.pop("of", None):
        values = facts(original).model_dump() | values
    if tested := values.pop("tests", None):
        for name in ("rows", "files", "copies", "substitutes"):
            values[name] = {"test": values[name][tested]} if tested in values[name] else {}
        if values["hub"]:
            values["hub"]["files"] = {"test": values["hub"]["files"][tested]}
    return Dataset.model_validate(values)


def _read(name: str) -> Any:
    return from_yaml((CONFIG_DIR / "datasets" / f"{name}.yaml").read_text(encoding="utf-8"))


def _declarations() -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / "datasets").iterdir() if path.suffix == ".yaml")


@cache
def located(name: str, language: str, split: str) -> tuple[Dataset, str]:
    """The declaration and the split that have the rows of a split in a language; raises ConfigError where none has."""
    named = [dataset for dataset in map(facts, _declarations()) if dataset.name == name] or [facts(name)]
    dataset = next((dataset for dataset in named if language in dataset.languages), None)
    if dataset is None:
        valid = dict.fromkeys(code for dataset in named for code in dataset.languages)
        raise ConfigError(f"{name} has no language {language!r}; expected one of {', '.join(valid)}")
    if split not in dataset.rows:
        raise ConfigError(f"{name} has no split {split!r}; expected one of {', '.join(dataset.rows)}")
    if dataset.english and language == dataset.languages[0]:
        return facts(dataset.english[0]), dataset.english[1]
    return dataset, split


def check_columns(where: str, found: list[str], expected: tuple[str, ...]) -> None:
    """Raises ConfigError where a column is missing: renamed by the publisher, or another file."""
    if missing := [column for column in expected if column not in found]:
        raise ConfigError(
            f"{where}: found the columns {', '.join(found)}; expected {', '.join(expected)}, and {missing[0]!r} is "
            "not among them: the publisher may have renamed it, so name an older revision in conf/datasets"
        )
