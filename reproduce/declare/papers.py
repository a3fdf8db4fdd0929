"""A paper is a folder, and a target is a class.

`papers/<paper>/paper.yaml` declares a paper's data sets and *targets*. Beside it stand what the paper prints
(`published`) and claims (`claims`). Each kind of target is a subclass of `Target` under its name in `KINDS`; its fields
are what paper.yaml declares for it. A new kind is one such class in this room, and what `show` makes of it.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from fun.errors import ConfigError
from fun.registry import Registry
from reproduce.declare.parts import Dataset, Declaration, Needed, checked, read
from reproduce.declare.published import Published

PAPERS = Path(__file__).parents[1] / "papers"

ANCHOR = "fun"
"""The paper whose targets go by their bare names."""

KINDS = Registry("targets", by="kind")
"""The kinds of target, by what paper.yaml calls them."""


class Margin(Declaration):
    """±`points` within which two means count as the same result, and why."""

    points: float = Field(gt=0)
    reason: str


class Paper(Declaration):
    """A folder of `papers/`: `name` is the folder's. `assumptions` are what its verdicts rest on."""

    folder: Path
    title: str
    authors: tuple[str, ...] = ()
    venue: str = ""
    assumptions: tuple[str, ...] = ()
    margins: Mapping[str, Margin] = {}
    datasets: dict[str, Dataset]
    declared: Mapping[str, dict[str, Any]] = Field(default={}, alias="targets")

    @field_validator("datasets")
    @classmethod
    def _name_records(cls, datasets: dict[str, Dataset]) -> dict[str, Dataset]:
        """A data set is read under its own name, unless it says another."""
        return {name: each.model_copy(update={"reads": each.reads or name}) for name, each in datasets.items()}

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def published(self) -> Published:
        """What it prints; nothing of a file that is not there."""
        files = [self.folder / f"{name}.csv" for name in ("numbers", "errata", "settings")]
        texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in files]
        return Published(*(list(csv.DictReader(io.StringIO(text))) for text in texts))

    @cached_property
    def targets(self) -> "Mapping[str, Target]":
        """Its targets, by the names that it gives them. Raises ConfigError that names what is wrong with one."""
        return {stem: self._target(stem, dict(fields)) for stem, fields in self.declared.items()}

    def _target(self, stem: str, fields: dict[str, Any]) -> "Target":
        where, kind = f"{self.name}/paper.yaml: {stem}", str(fields.pop("kind", None))
        if kind not in KINDS:
            raise ConfigError(f"{where}: found kind: {kind}; valid: {', '.join(KINDS)}.")
        target: Target = checked({**fields, "paper": self, "stem": stem}, KINDS[kind], where)
        for problem in target.problems():
            raise ConfigError(f"{where}.{problem}.")
        return target

    def margin(self, metric: str) -> float:
        """The margin of a metric in points. Raises ConfigError where none is declared."""
        if metric not in self.margins:
            where = f"`margins` of {self.name}/paper.yaml"
            raise ConfigError(f"no margin is declared for the metric '{metric}': add it to {where}, with its reason.")
        return self.margins[metric].points


class Target(Declaration):
    """What a command makes: a table or a figure. `note` is what a reader is told first.

    `stem` is its name in its paper, and that of its files; `<stem>-<model>` is its variant for another model.
    """

    kind: ClassVar[str]

    paper: Paper = Field(repr=False)
    stem: str
    title: str
    note: str = ""

    @property
    def name(self) -> str:
        """What one types: `table1` of the anchor paper, `l2/table1` of another."""
        return self.stem if self.paper.name == ANCHOR else f"{self.paper.name}/{self.stem}"

    def needed(self) -> list[Needed]:
        """Every run that it is made from, once, with what is needed of it; none where it needs no runs."""
        return []

    def problems(self) -> Iterator[str]:
        """What is wrong with its declaration beyond its types, one line each; none where it is fine."""
        yield from ()


def load(folder: Path) -> Paper:
    """Read and check a paper's folder. Raises ConfigError that names the paper and the key."""
    where = f"{folder.name}/paper.yaml"
    paper = checked({**(read(folder / "paper.yaml", where) or {}), "folder": folder}, Paper, where)
    paper.targets  # noqa: B018 -- a wrong target is told when its paper is read
    return paper


def targets(folder: Path = PAPERS) -> dict[str, Target]:
    """Every target of every paper in `folder` by what one types, the anchor paper's first. Raises ConfigError."""
    papers = sorted((path.parent for path in folder.glob("*/paper.yaml")), key=lambda path: (path.name != ANCHOR, path))
    if not papers:
        raise ConfigError(f"{folder} has no paper; expected <paper>/paper.yaml there.")
    return {target.name: target for path in papers for target in load(path).targets.values()}


def find(name: str, model: str | None, declared: Mapping[str, Target]) -> Target:
    """The target `name`, or its variant for `model`, which is declared as `name-model`. Raises ConfigError."""
    wanted = (name if model is None else f"{name}-{model}").removeprefix(f"{ANCHOR}/")
    if wanted not in declared:
        raise ConfigError(f"unknown target '{wanted}'; valid targets: {', '.join(sorted(declared))}.")
    return declared[wanted]
