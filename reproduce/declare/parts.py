"""The parts that declarations are made of, and what a target needs: runs."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fun.errors import ConfigError
from fun.yaml_files import from_yaml

Declared = TypeVar("Declared", bound=BaseModel)

Run = tuple[str, ...]
"""The overrides of a run: what one would type after `python -m fun.run`."""

LANGUAGE = "{language}"
"""Stands in a row's overrides for the language that a run is read for: each target language has its own run then."""


class Declaration(BaseModel):
    """A closed part of a declaration: unknown keys and missing values are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Declaration):
    """A test set: the overrides that train for it, its languages, its metrics (main one first).

    `reads`: its name in records and in print, where it declares other languages of another data set. `published`
    selects the printed numbers of its main metric, where those go by another name or metric; an empty `dataset` is
    none. `mean_of`: the data sets over which it is the mean, each by its main metric and counted once.
    """

    label: str
    overrides: str = ""
    targets: tuple[str, ...] = ()
    metrics: dict[str, str]
    source: str = "en"
    reads: str = ""
    published: Mapping[str, str] = {}
    mean_of: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        return (self.source, *self.targets)

    @property
    def main_metric(self) -> str:
        return next(iter(self.metrics))

    def printed(self, metric: str) -> Mapping[str, str]:
        """The columns that select its published numbers by a metric."""
        if self.published and metric != self.main_metric:
            return {"dataset": "", "metric": metric}
        return {"dataset": self.reads, "metric": metric, **self.published}

    def values(self, languages: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
        """Its main metric in `languages`, as `Needed.values`."""
        return tuple((self.reads, language, self.main_metric) for language in languages)


class Group(Declaration):
    """A panel or a row: what it adds to its runs' overrides, and to the selection of published numbers.

    A row may have `replicates` of its own. Where its overrides hold `{language}`, the run of the target language
    `source_from` gives the source language's number too. A `quoted` row is another paper's: it has no runs.
    """

    label: str
    overrides: str = ""
    published: Mapping[str, str] = {}
    replicates: tuple[str, ...] = ()
    source_from: str | None = None
    quoted: bool = False


ANY = ""
"""Stands for whatever metrics a data set has."""


@dataclass(frozen=True)
class Needed:
    """A run that a target needs, and what it needs of it, which is no part of the run's identity.

    `values` are the (dataset, language, metric or ANY) that its record must hold; `fisher_every` is the interval in
    updates at which tr(F) must be tracked, 0 for not at all; `tests_every` how often test sets must be, as the field
    of that name, empty for not at all.
    """

    overrides: Run
    values: tuple[tuple[str, str, str], ...] = ()
    fisher_every: int = 0
    tests_every: str = ""

    @property
    def arguments(self) -> Run:
        """What to type after `python -m fun.run`."""
        fisher = (f"track.fisher_every={self.fisher_every}",) if self.fisher_every else ()
        tests = (f"track.tests_every={self.tests_every}",) if self.tests_every else ()
        return (*self.overrides, *fisher, *tests)


def merged(needed: Iterable[Needed]) -> list[Needed]:
    """Every run once, in the order of its first mention, with all that is needed of it."""
    values: dict[Run, dict[tuple[str, str, str], None]] = defaultdict(dict)
    tracked: dict[Run, tuple[int, str]] = {}
    for run in needed:
        values[run.overrides].update(dict.fromkeys(run.values))
        fisher_every, tests_every = tracked.get(run.overrides, (0, ""))
        tracked[run.overrides] = (fisher_every or run.fisher_every, tests_every or run.tests_every)
    return [Needed(run, tuple(own), *tracked[run]) for run, own in values.items()]


@cache
def words(*overrides: str) -> Run:
    """Overrides as they are declared, one string per part, as the arguments of a command line."""
    return tuple(shlex.split(" ".join(overrides)))


def read(path: Path, where: str) -> Any:
    """What a YAML file holds. Raises ConfigError, which says `where`."""
    try:
        return from_yaml(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from None


def checked(fields: Any, expected: type[Declared], where: str) -> Declared:
    """`fields` as a declaration. Raises ConfigError that says `where` and names every wrong key, in one line."""
    try:
        return expected.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ConfigError(f"{where}: {'; '.join(problems)}") from None


def undeclared(where: str, names: Iterable[str], valid: Iterable[str]) -> Iterator[str]:
    """A line for each name that is not declared, which says where it stands."""
    allowed = list(valid)
    listed = ", ".join(allowed)
    return (f"{where}: '{name}' is not declared; valid: {listed}" for name in names if name not in allowed)
