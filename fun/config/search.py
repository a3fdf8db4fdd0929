"""The hyperparameter search of section 4.2: its grid, and the selection that `hparams=selected` reads."""

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, ValidationError, field_validator

from fun.config.compose import explain
from fun.config.schema import Section, all_fields
from fun.errors import ConfigError
from fun.paths import CONFIG_DIR
from fun.results import Damaged, checksum, run_id_of
from fun.results.files import create_exclusive, read_object
from fun.yaml_files import from_yaml

DEFAULT = "lr_k"
"""The search that nobody has to name."""

Value = bool | int | float | str

Values = Mapping[str, Value]
"""Field -> value: a point of the grid."""


class SweepConfig(Section):
    """conf/sweep: a search."""

    name: str
    """What the search is called."""
    grid: Mapping[str, Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]]
    """Field -> the values to try. A field that a run does not have, or that is typed, is not searched."""
    keep: Mapping[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(default_factory=dict)
    """Field -> the tasks that keep the value they have."""
    seeds: tuple[int, ...] = Field(strict=False, min_length=1)
    """The seeds of each point."""
    within: float = Field(default=0.0, ge=0.0)
    """Of values with a mean within so many points of the best the largest; 0: the best, of equal ones the smallest."""

    @field_validator("grid")
    @classmethod
    def _known(cls, grid: Mapping[str, tuple[Value, ...]]) -> Mapping[str, tuple[Value, ...]]:
        """Raises ValueError for a field that no choice has: that of another choice is left out, not that of none."""
        known = all_fields()
        for field in grid:
            if field not in known:
                near = difflib.get_close_matches(field, known, n=1)
                hint = f"did you mean {near[0]}?" if near else "expected a field that python -m fun.run --help shows"
                raise ValueError(f"sweep.grid has {field}, which is a field of no choice: {hint}")
        return grid


@cache
def default_sweep() -> SweepConfig:
    """The search whose selection `hparams=selected` reads where no `+sweep=` is typed. Raises ValidationError."""
    file = CONFIG_DIR / "sweep" / f"{DEFAULT}.yaml"
    return SweepConfig.model_validate(from_yaml(file.read_text(encoding="utf-8"))["sweep"])


GROUPS = ("task", "model", "adapter", "schedule", "data_size", "regularizer", "mask")
"""The choices that a search is for."""


@dataclass(frozen=True)
class Search:
    """The search for one choice of configuration: the values of each searched field, in increasing order, and seeds."""

    name: str
    choice: Mapping[str, str]
    grid: Mapping[str, tuple[Value, ...]]
    seeds: tuple[int, ...]
    within: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any], sweep: SweepConfig, overrides: Sequence[str]) -> Self:
        """For the values that `overrides` compose; what these give a value is not searched."""
        typed = {override.lstrip("+~").partition("=")[0] for override in overrides}
        grid = {}
        for field, tried in sweep.grid.items():
            section, _, key = field.partition(".")
            has = section in values and (not key or key in values[section])
            if has and field not in typed and values["task"]["name"] not in sweep.keep.get(field, ()):
                grid[field] = tuple(sorted(set(tried)))
        choice = {group: name for group in GROUPS if (name := values[group]["name"]) != "none"}
        return cls(sweep.name, choice, grid, sweep.seeds, sweep.within)

    @property
    def label(self) -> str:
        """The search's name for people."""
        return "-".join(self.choice.values())

    @property
    def typed(self) -> str:
        """What to type to name it."""
        return " ".join([f"sweep={self.name}", *(f"{group}={name}" for group, name in self.choice.items())])

    def points(self) -> list[Values]:
        """Every combination of values; none where nothing is searched."""
        combinations = itertools.product(*self.grid.values()) if self.grid else ()
        return [dict(zip(self.grid, values, strict=True)) for values in combinations]

    def edges(self, values: Values) -> list[str]:
        """The fields whose value is the smallest or largest of several numbers that were tried."""
        return [
            field
            for field, tried in self.grid.items()
            if len(tried) > 1 and isinstance(tried[0], int | float) and values[field] in (tried[0], tried[-1])
        ]


@dataclass(frozen=True)
class Selection:
    """What a search selected, from which runs: `runs` maps each run_id to its values, seed, and score or failure.

    `rule` names how; the scores are in percent. `edges` are the fields whose value lies at the edge of the grid.
    """

    search: str
    rule: str
    label: str
    runs: dict[str, dict[str, Any]]
    selected: dict[str, Value]
    edges: list[str]

    @classmethod
    def path(cls, root: Path, label: str, run_ids: Iterable[str]) -> Path:
        """Named by the runs that it is selected from, and `label` for people."""
        return root / "selections" / f"{label}-{run_id_of({'runs': sorted(run_ids)})}.json"

    @classmethod
    def read(cls, path: Path, run_ids: Iterable[str]) -> Self:
        """Raises FileNotFoundError, and Damaged for a file that is not what `write` wrote for these runs."""
        content = read_object(path)
        stated, expected = content.pop("checksum", None), checksum(content)
        if stated != expected:
            raise Damaged(f"{path}: checksum: found {stated}, expected {expected} for this content")
        if content.get("runs", {}).keys() != set(run_ids):
            raise Damaged(f"{path} was selected from other runs than its name says")
        return cls(**content)

    def write(self, root: Path) -> Path:
        """Write it as a file of its own; of two at once one does. Raises Damaged where another selection is there."""
        path = self.path(root, self.label, self.runs)
        content = dataclasses.asdict(self)
        written = create_exclusive(path, {**content, "checksum": checksum(content)})
        if not written and self.read(path, self.runs) != self:
            raise Damaged(f"{path} holds another selection from these runs: remove it, and select again")
        return path


def typed_point(point: Values) -> str:
    """A point of the grid, as overrides."""
    return " ".join(f"{field}={value}" for field, value in point.items())


def option(field: str) -> str:
    """How other values of a field are typed for a search."""
    return f"'sweep.grid={{{field}:[…]}}'"


def selected(search: Search, run_ids: Sequence[str], root: Path) -> Values:
    """The selected values of the searched fields. Raises ConfigError where there is no selection from these runs."""
    path = Selection.path(root, search.label, run_ids)
    try:
        return Selection.read(path, run_ids).selected
    except FileNotFoundError:
        raise ConfigError(unselected(search, f"{path.name} is not there")) from None
    except Damaged as damage:
        raise ConfigError(f"hparams=selected: {damage}: remove it, and select from {search.typed} again") from damage


def unselected(search: Search, why: str) -> str:
    """What to say where nothing was selected from a search."""
    return (
        f"hparams=selected: nothing was selected for this configuration yet ({why}): make the runs of the "
        f"search {search.typed}, with whatever else you typed here but hparams and seed, and select from them"
    )


def _parameters(*, _root_: DictConfig) -> dict[str, str]:
    """Resolves conf/sweep's `${search:}`: the search as parameters of Hydra's sweeper.

    With `hparams=selected` what was typed is all there is to run; while Hydra still composes, that file alone is the
    root. Without test languages: what the values are chosen by is validation alone. Raises ConfigError where nothing
    is searched.
    """
    if "task" not in _root_ or _root_["hparams"] == "selected":
        return {}
    try:
        sweep = SweepConfig.model_validate(OmegaConf.to_container(_root_["sweep"]))
    except ValidationError as error:
        raise ConfigError(explain(error, "sweep")) from error
    search = Search.of(_root_, sweep, _root_["hydra"]["overrides"]["task"])
    if not search.grid:
        raise ConfigError(
            f"sweep={search.name} has nothing to search here: {', '.join(sweep.grid)} were typed, or stay "
            "as they are for this task, or the choice has no such field"
        )
    swept = {**search.grid, "seed": search.seeds}
    return {field: ",".join(map(str, tried)) for field, tried in swept.items()} | {"evaluate.languages": "[]"}


OmegaConf.register_new_resolver("search", _parameters, replace=True)
