"""The record of a finished run: its schema, its checksum and its identity."""

import dataclasses
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self, TypedDict

from fun.results.canonical import checksum, run_id_of
from fun.results.errors import InvalidRecord

SCHEMA = 1
MARKS = ("synthetic", "nonstandard")
PREDICTIONS = "predictions/"
WEIGHTS = ".safetensors"


class Validation(TypedDict):
    """The validation metrics after update `update`."""

    update: int
    metrics: dict[str, float]


class Selected(TypedDict):
    """The checkpoint that was evaluated: the one after update `update`, chosen for `metric`."""

    update: int
    metric: str
    value: float


class Opening(TypedDict):
    """Layers that newly open; they first train in update `update`. `scores`: tr(F) by layer, if asked for."""

    update: int
    layers: list[int]
    scores: dict[str, float]


class Trainable(TypedDict):
    """The number of trainable parameters from update `update` on."""

    update: int
    parameters: int


class Tracking(TypedDict):
    """What is not identity: tr(F) every so many updates (0: never), its estimator, the languages of each dataset."""

    fisher_every: int
    fisher: dict[str, Any]
    languages: dict[str, list[str]]


class Timing(TypedDict):
    """Seconds spent, and training examples per second."""

    train_seconds: float
    fisher_seconds: float
    evaluate_seconds: float
    examples_per_second: float


@dataclass(frozen=True)
class Record:
    """A finished run. `metrics` is {dataset: {language: {metric: value}}}, in percent, unrounded."""

    schema: int
    run_id: str
    semantics: int
    label: str
    identity: dict[str, Any]
    config: dict[str, Any]
    inputs: dict[str, str]
    metrics: dict[str, dict[str, dict[str, float]]]
    validation: list[Validation]
    selected: Selected
    unfreezing: list[Opening]
    trainable: list[Trainable]
    tracking: Tracking
    timing: Timing
    peak_memory_bytes: int
    environment: dict[str, Any]
    marks: list[str]
    attempt: int
    files: dict[str, str]
    checksum: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def body(self) -> dict[str, Any]:
        """A copy of what `Attempt.finish` was given: all fields but the store's own."""
        own = ("schema", "run_id", "attempt", "files", "checksum")
        return {name: value for name, value in self.to_json().items() if name not in own}

    def differences(self, other: "Record") -> list[str]:
        """What of this run's outcome another record of it tells otherwise; that one has more languages is nothing.

        Compared are configuration, validation, metrics, unfreezing and predictions; not time, place and weights.
        """
        same = ("identity", "config", "validation", "unfreezing")
        found = [name for name in same if getattr(self, name) != getattr(other, name)]
        for dataset, languages in self.metrics.items():
            for language, values in languages.items():
                if values != other.metrics.get(dataset, {}).get(language, values):
                    found.append(f"metrics of {dataset} in {language}")
        predictions = (name for name in self.files if name.startswith(PREDICTIONS))
        return found + [name for name in predictions if self.files[name] != other.files.get(name, self.files[name])]

    @classmethod
    def sealed(cls, content: Mapping[str, Any]) -> Self:
        """The record with this content, which has every field but the checksum. Raises InvalidRecord."""
        _no_other_fields(content, _FIELDS.keys() - {"checksum"}, "the record")
        content = dict(content)
        _finite_json(content, "")
        return cls.from_json({**content, "checksum": checksum(content)})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The record in `fields`. Raises InvalidRecord: the field, what was found, what was expected."""
        # Another schema has other fields, and a wrong checksum explains any other oddity: in this order.
        schema = fields.get("schema")
        _require(schema == SCHEMA, "schema", schema, f"{SCHEMA}, which this code reads")
        _no_other_fields(fields, _FIELDS.keys(), "the record")
        content = {name: value for name, value in fields.items() if name != "checksum"}
        _finite_json(content, "")
        expected = checksum(content)
        _require(fields["checksum"] == expected, "checksum", fields["checksum"], f"{expected} for this content")
        for name, check in _FIELDS.items():
            check(fields[name], name)
        record = cls(**fields)
        record._check_identity()
        return record

    def _check_identity(self) -> None:
        expected = run_id_of(self.identity)
        _require(self.run_id == expected, "run_id", self.run_id, f"{expected} for this identity")
        for name, value in (("semantics", self.semantics), ("inputs", self.inputs)):
            found = self.identity.get(name)
            _require(found == value, f"identity.{name}", found, f"{reprlib.repr(value)}, the record's own")


# A check raises InvalidRecord for a value it does not allow; `where` is the field's dotted path.
Check = Callable[[object, str], None]


def _require(holds: bool, where: str, found: object, expected: str) -> None:
    if not holds:
        raise InvalidRecord(f"{where}: found {reprlib.repr(found)}, expected {expected}")


def _no_other_fields(value: Mapping[str, Any], names: Set[str], where: str) -> None:
    if missing := sorted(names - value.keys()):
        raise InvalidRecord(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(map(str, value.keys() - names)):
        raise InvalidRecord(f"{where} has {', '.join(unknown)}, which the schema does not know")


def _at_least(least: int) -> Check:
    def check(value: object, where: str) -> None:
        holds = isinstance(value, int) and not isinstance(value, bool) and value >= least
        _require(holds, where, value, f"an integer of at least {least}")

    return check


def _number(value: object, where: str) -> None:
    _require(isinstance(value, int | float) and not isinstance(value, bool), where, value, "a number")


def _duration(value: object, where: str) -> None:
    _number(value, where)
    _require(isinstance(value, int | float) and value >= 0, where, value, "a number of at least 0")


def _text(pattern: str, expected: str) -> Check:
    def check(value: object, where: str) -> None:
        _require(isinstance(value, str) and re.fullmatch(pattern, value) is not None, where, value, expected)

    return check


def _list_of(item: Check) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, list):
            raise InvalidRecord(f"{where}: found {reprlib.repr(value)}, expected a list")
        for index, element in enumerate(value):
            item(element, f"{where}[{index}]")

    return check


def _map_of(item: Check) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidRecord(f"{where}: found {reprlib.repr(value)}, expected an object")
        for key, element in value.items():
            item(element, f"{where}.{key}")

    return check


def _object(**fields: Check) -> Check:
    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidRecord(f"{where}: found {reprlib.repr(value)}, expected an object")
        _no_other_fields(value, fields.keys(), where)
        for name, item in fields.items():
            item(value[name], f"{where}.{name}")

    return check


def _anything(value: object, where: str) -> None:
    """Any JSON; `_finite_json` has seen it."""


def _finite_json(value: object, where: str) -> None:
    """Refuse what JSON cannot hold or would change: NaN, infinities, keys that are no strings, tuples."""
    if isinstance(value, dict):
        for key, item in value.items():
            path = f"{where}.{key}" if where else str(key)
            _require(isinstance(key, str), path, key, "a string as key")
            _finite_json(item, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _finite_json(item, f"{where}[{index}]")
    elif isinstance(value, float):
        _require(math.isfinite(value), where, value, "a finite number")
    else:
        _require(value is None or isinstance(value, str | int), where, value, "a JSON value")


def _files(value: object, where: str) -> None:
    _map_of(_DIGEST)(value, where)
    for name in value if isinstance(value, dict) else ():
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts
        _require(inside, where, name, "a path inside the run's folder")


_DIGEST = _text(r"sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits")
_STRING = _text(r"(?s).*", "a string")
_NAME = _text(r"(?s).+", "a string that is not empty")
_COUNT = _at_least(0)
_UPDATE = _at_least(1)

_FIELDS: dict[str, Check] = {
    "schema": _at_least(1),
    "run_id": _text(r"[0-9a-f]{16}", "16 hexadecimal digits"),
    "semantics": _at_least(1),
    "label": _NAME,
    "identity": _map_of(_anything),
    "config": _map_of(_anything),
    "inputs": _map_of(_NAME),
    "metrics": _map_of(_map_of(_map_of(_number))),
    "validation": _list_of(_object(update=_UPDATE, metrics=_map_of(_number))),
    "selected": _object(update=_UPDATE, metric=_NAME, value=_number),
    "unfreezing": _list_of(_object(update=_UPDATE, layers=_list_of(_COUNT), scores=_map_of(_number))),
    "trainable": _list_of(_object(update=_UPDATE, parameters=_COUNT)),
    "tracking": _object(fisher_every=_COUNT, fisher=_map_of(_anything), languages=_map_of(_list_of(_NAME))),
    "timing": _object(
        train_seconds=_duration,
        fisher_seconds=_duration,
        evaluate_seconds=_duration,
        examples_per_second=_duration,
    ),
    "peak_memory_bytes": _COUNT,
    "environment": _map_of(_anything),
    "marks": _list_of(_text("|".join(MARKS), f"one of {', '.join(MARKS)}")),
    "attempt": _at_least(1),
    "files": _files,
    "checksum": _DIGEST,
}
