"""From what is typed to a checked run whose inputs are there, with the values that a search selected for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from pydantic import ValidationError

from fun.config.compose import composed, explain, plain, typed, typed_fields
from fun.config.schema import RunConfig, results_root
from fun.config.search import Search, SweepConfig, Values, option, selected, sweep_config, typed_point, unselected
from fun.errors import ConfigError
from fun.inputs.inputs import inputs_of, keys, run_id


def compose(overrides: Sequence[str]) -> RunConfig:
    """The run that `python -m fun.run <overrides>` would be.

    Raises ConfigError with what was found, what was expected and what to type.
    """
    return from_values(composed(overrides), typed_fields(overrides))


def from_hydra(composition: DictConfig, overrides: Sequence[str]) -> RunConfig:
    """The run of what Hydra composed from `overrides`. Raises ConfigError."""
    return from_values(plain(composition), typed_fields(overrides))


def from_values(values: Mapping[str, Any], fields: frozenset[str]) -> RunConfig:
    """The run of composed values, of which somebody typed `fields`. Raises ConfigError."""
    values = dict(values)
    hparams, sweep = values.pop("hparams"), _sweep(values)
    if hparams not in ("published", "selected"):
        raise ConfigError(f"hparams is {hparams!r}; expected published or selected: type hparams=selected")
    if hparams == "published":
        return _with_inputs(typed(values))
    searched = Search.of(values, sweep or sweep_config(None), fields)
    try:
        run_ids = [run_id(run) for run in _runs(searched, values)]
    except ConfigError as error:
        raise ConfigError(unselected(searched, str(error))) from error
    return _with_inputs(typed(_with(values, selected(searched, run_ids, results_root()) if run_ids else {})))


def search(overrides: Sequence[str]) -> tuple[Search, list[RunConfig]]:
    """The search for the configuration that `overrides`, with `+sweep=…` among them, describe; and its runs.

    Point by point, each with all seeds. Raises ConfigError.
    """
    values = composed(overrides)
    del values["hparams"]
    sweep = _sweep(values)
    assert sweep is not None, "overrides of a search have a sweep"
    searched = Search.of(values, sweep, typed_fields(overrides))
    return searched, _runs(searched, values)


def _with_inputs(config: RunConfig) -> RunConfig:
    """The configuration itself. Raises ConfigError where a file or folder that the run reads is not there."""
    keys(inputs_of(config))
    return config


def _sweep(values: dict[str, Any]) -> SweepConfig | None:
    """The sweep among composed values, which it leaves. Raises ConfigError."""
    sweep = values.pop("sweep", None)
    try:
        return sweep_config(sweep) if sweep is not None else None
    except ValidationError as error:
        raise ConfigError(explain(error, "sweep")) from error


def _runs(searched: Search, values: Mapping[str, Any]) -> list[RunConfig]:
    """The runs of a search: as if its values had been typed."""
    points = [_run(searched, values, point) for point in searched.points()]
    return [config.model_copy(update={"seed": seed}) for config in points for seed in searched.seeds]


def _run(searched: Search, values: Mapping[str, Any], point: Values) -> RunConfig:
    try:
        return _with_inputs(typed(_with(values, point)))
    except ConfigError as error:
        elsewhere = " or ".join(map(option, point))
        raise ConfigError(f"sweep={searched.name} tries {typed_point(point)}: {error}; or {elsewhere}") from error


def _with(values: Mapping[str, Any], point: Values) -> dict[str, Any]:
    changed = dict(values)
    for field, value in point.items():
        section, _, key = field.partition(".")
        changed[section] = {**changed[section], key: value} if key else value
    return changed
