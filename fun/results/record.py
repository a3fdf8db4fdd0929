"""The record of a finished run: its schema, its checksum and its identity."""

import hashlib
import json
import re
import reprlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from typing_extensions import TypedDict

from fun.results.errors import InvalidRecord

SCHEMA = 2
MARKS = ("synthetic", "nonstandard")
WEIGHTS = ".safetensors"

Count = Annotated[int, Field(ge=0)]
Update = Annotated[int, Field(ge=1)]
Duration = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
if TYPE_CHECKING:
    Object = dict[str, Any]
else:  # free-form JSON: finite numbers, no tuples, keys that are strings
    Object = dict[str, JsonValue]


def canonical_json(value: object) -> str:
    """The one spelling of `value`, whose keys are strings, as JSON. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checksum(value: object) -> str:
    """`sha256:` and 64 hexadecimal digits, over the canonical JSON of `value`."""
    return f"sha256:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


def run_id_of(identity: Mapping[str, object]) -> str:
    """The 16 hexadecimal digits that name the run with this identity."""
    return checksum(identity).removeprefix("sha256:")[:16]


def _ascending(values: list[int]) -> list[int]:
    if values != sorted(set(values)):
        raise ValueError("expected in ascending order, each once")
    return values


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("expected a path inside the run's folder")
    return name


class Validation(TypedDict):
    """The validation metrics after update `update`."""

    update: Update
    metrics: dict[str, float]


class Selected(TypedDict):
    """The checkpoint that was evaluated: the one after update `update`, chosen for `metric`."""

    update: Update
    metric: Name
    value: float


class Stage(TypedDict):
    """What trains from update `update` on: the `open` layers, ascending, and so many parameters in all."""

    update: Update
    open: Annotated[list[Count], AfterValidator(_ascending)]
    scores: dict[str, float]  # tr(F) by layer, where the choice was made from it
    trainable: Count


class Evaluation(TypedDict):
    """A test set in one language: the content keys of what was read, and metrics in percent, unrounded."""

    keys: dict[str, Name]
    metrics: dict[str, float]


Evaluations = dict[str, dict[str, Evaluation]]
"""Data set -> language -> evaluation."""


class Tracking(TypedDict):
    """What was followed along training: tr(F) every so many updates (0: never), and by which estimator.

    Where test sets were: every so many updates, or at the end of every epoch; and which, in which languages.
    """

    fisher_every: Count
    fisher: Object
    tests_every: NotRequired[Update | Literal["epoch"]]
    tests: NotRequired[dict[str, list[str]]]


class Timing(TypedDict):
    """Seconds spent, and training examples per second."""

    train_seconds: Duration
    fisher_seconds: Duration
    evaluate_seconds: Duration
    examples_per_second: Duration


class Record(BaseModel):
    """A finished run. Of an artifact `validation`, `stages` and `evaluations` are empty, and nothing is selected."""

    # For the typed dictionaries too, which have none of their own.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    version: Literal[2] = Field(alias="schema")
    run_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    kind: Literal["training", "artifact"]
    semantics: Update
    label: Name
    identity: Object
    config: Object
    inputs: dict[str, Name]
    evaluations: Evaluations
    validation: list[Validation]
    selected: Selected | None
    stages: list[Stage]
    tracking: Tracking
    timing: Timing
    peak_memory_bytes: Count
    environment: Object
    marks: list[Literal["synthetic", "nonstandard"]]
    attempt: Update
    files: dict[Annotated[str, AfterValidator(_inside)], Digest]
    checksum: Digest

    @property
    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """{data set: {language: {metric: value}}}, in percent, unrounded."""
        return metrics_of(self.evaluations)

    @property
    def commits(self) -> dict[str, set[str]]:
        """Repository of the hub -> its commits that this run read, and the runs whose language adapters it read."""
        commits: dict[str, set[str]] = defaultdict(set)
        for environment in (self.environment, *self.environment.get("further_evaluations", ())):
            for repository, commit in environment.get("hub", {}).items():
                commits[re.sub(r"^run:[0-9a-f]{16}/", "", repository)].add(commit)
        return commits

    @property
    def metric(self) -> str:
        """The metric by which the checkpoint was selected; empty for an artifact."""
        return self.selected["metric"] if self.selected else ""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        _ascending([stage["update"] for stage in self.stages])
        if self.kind == "training" and self.selected is None:
            raise ValueError("expected a record that says what was selected, as its kind is training")
        if self.kind == "artifact" and (self.evaluations or self.validation or self.selected or self.stages):
            raise ValueError("expected no evaluations, validation, selected and stages, as the kind is artifact")
        return self

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)

    def body(self) -> dict[str, Any]:
        """A copy of what `Attempt.finish` was given: all fields but the store's own."""
        return self.model_dump(exclude={"version", "run_id", "attempt", "files", "checksum"})

    def differences(self, other: "Record") -> list[str]:
        """What of this run's outcome another record of it tells otherwise; not time, weights, and places.

        Nor evaluations that one of them lacks, or that read other test sets or language adapters, as their keys say.
        """
        same = ("kind", "identity", "validation", "stages")
        differing = [name for name in same if getattr(self, name) != getattr(other, name)]
        for dataset, languages in self.evaluations.items():
            for language, evaluation in languages.items():
                theirs = other.evaluations.get(dataset, {}).get(language)
                if theirs is None or theirs["keys"] != evaluation["keys"]:
                    continue
                if theirs["metrics"] != evaluation["metrics"]:
                    differing.append(f"metrics of {dataset} in {language}")
                name = predictions_file(dataset, language)
                if name in self.files.keys() & other.files.keys() and self.files[name] != other.files[name]:
                    differing.append(name)
        return differing

    @classmethod
    def sealed(cls, content: Mapping[str, Any]) -> Self:
        """The record with this content, which has every field but the checksum. Raises InvalidRecord."""
        unsealed = cls._checked({**content, "checksum": checksum(None)}).to_json()
        del unsealed["checksum"]
        return cls._checked({**unsealed, "checksum": checksum(unsealed)})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The record in `fields`. Raises InvalidRecord: the field, what was found, what was expected."""
        # Another schema has other fields, and a wrong checksum explains any other oddity: in this order.
        if fields.get("schema") != SCHEMA:
            raise InvalidRecord(f"schema: found {fields.get('schema')!r}, expected {SCHEMA}, which this code reads")
        content = {name: value for name, value in fields.items() if name != "checksum"}
        if fields.get("checksum") != checksum(content):
            raise InvalidRecord(
                f"checksum: found {fields.get('checksum')!r}, expected {checksum(content)} for this content"
            )
        return cls._checked(fields)

    @classmethod
    def _checked(cls, fields: Mapping[str, Any]) -> Self:
        try:
            record = cls.model_validate(dict(fields))
        except ValidationError as error:
            problems = (
                f"{'.'.join(map(str, problem['loc'])) or 'the record'}: found {reprlib.repr(problem['input'])}: "
                f"{problem['msg']}"
                for problem in error.errors()
            )
            raise InvalidRecord("; ".join(problems)) from error
        for field, found, expected, why in (
            ("run_id", record.run_id, run_id_of(record.identity), "for this identity"),
            ("identity.semantics", record.identity.get("semantics"), record.semantics, "the record's own"),
            ("identity.inputs", record.identity.get("inputs"), record.inputs, "the record's own"),
        ):
            if found != expected:
                raise InvalidRecord(
                    f"{field}: found {reprlib.repr(found)}, expected {reprlib.repr(expected).strip(chr(39))} {why}"
                )
        return record


def metrics_of(evaluations: Evaluations) -> dict[str, dict[str, dict[str, float]]]:
    """{data set: {language: {metric: value}}}, in percent, unrounded."""
    return {
        dataset: {language: evaluation["metrics"] for language, evaluation in languages.items()}
        for dataset, languages in evaluations.items()
    }


def predictions_file(dataset: str, language: str) -> str:
    """Where a run keeps what it predicted for a test set in one language."""
    return f"predictions/{dataset}.{language}.parquet"
