"""The parts that declarations of tables and figures are made of, and what either needs: runs."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fun.errors import ConfigError

Declared = TypeVar("Declared")


class Declaration(BaseModel):
    """A closed part of a declaration: unknown keys and missing values are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Declaration):
    """A test set: the overrides that train for it, its languages, its metrics (main one first)."""

    label: str
    overrides: str
    targets: tuple[str, ...]
    metrics: dict[str, str]
    source: str = "en"

    @property
    def languages(self) -> tuple[str, ...]:
        return (self.source, *self.targets)

    @property
    def main_metric(self) -> str:
        return next(iter(self.metrics))


class Group(Declaration):
    """A panel or a row: what it adds to its runs' overrides, and to the selection of published numbers.

    A row may have replicates of its own instead of its table's.
    """

    label: str
    overrides: str
    published: Mapping[str, str] = {}
    replicates: tuple[str, ...] | None = None


ANY = ""
"""Stands for whatever metrics a data set has."""


@dataclass(frozen=True)
class Needed:
    """A run that a target needs, and what it needs of it.

    `overrides` is what one would type after `python -m fun.run`. `values` are the (dataset, language, metric or ANY)
    that its record must hold; `fisher_every` is the interval in updates at which tr(F) must be tracked, 0 for
    not at all. Neither is part of the run's identity.
    """

    overrides: tuple[str, ...]
    values: tuple[tuple[str, str, str], ...] = ()
    fisher_every: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What to type after `python -m fun.run`."""
        tracking = (f"track.fisher_every={self.fisher_every}",) if self.fisher_every else ()
        return (*self.overrides, *tracking)


def merged(needed: Iterable[Needed]) -> list[Needed]:
    """Every run once, in the order of its first mention, with all that is needed of it."""
    runs: dict[tuple[str, ...], Needed] = {}
    for run in needed:
        known = runs.setdefault(run.overrides, run)
        values = tuple(dict.fromkeys((*known.values, *run.values)))
        runs[run.overrides] = replace(known, values=values, fisher_every=known.fisher_every or run.fisher_every)
    return list(runs.values())


def words(*overrides: str) -> tuple[str, ...]:
    """Overrides as they are declared, one string per part, as the arguments of a command line."""
    return tuple(shlex.split(" ".join(overrides)))


def read(path: Path, expected: TypeAdapter[Declared]) -> Declared:
    """A declaration from a YAML file. Raises ConfigError that names the file and every wrong key, in one line."""
    try:
        return expected.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ConfigError(f"{path.name}: {'; '.join(problems)}") from None


def among(names: Iterable[str], valid: Iterable[str], where: str) -> None:
    """Raises ConfigError, which says `where`, for a name that is not declared."""
    allowed = list(valid)
    for name in names:
        if name not in allowed:
            raise ConfigError(f"{where}: '{name}' is not declared; valid: {', '.join(allowed)}.")
