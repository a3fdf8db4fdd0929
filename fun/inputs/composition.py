"""From what is typed to a checked run whose inputs are there, with the values that a search selected for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from fun.config.compose import composed, explain, typed
from fun.config.schema import RunConfig, results_root
from fun.config.search import Search, SweepConfig, Values, default_sweep, option, selected, typed_point, unselected
from fun.errors import ConfigError
from fun.inputs.inputs import inputs_of, keys, run_id


def compose(overrides: Sequence[str]) -> RunConfig:
    """The run that `python -m fun.run <overrides>` would be. Raises ConfigError: what was found, and what to type."""
    return from_values(composed(overrides), overrides)


def from_values(values: Mapping[str, Any], overrides: Sequence[str]) -> RunConfig:
    """The run of what Hydra composed from `overrides`. Raises ConfigError."""
    hparams, sweep = values["hparams"], _sweep(values)
    if hparams not in ("published", "selected"):
        raise ConfigError(f"hparams is {hparams!r}; expected published or selected: type hparams=selected")
    if hparams == "published":
        return _run(values, {})
    searched = Search.of(values, sweep or default_sweep(), overrides)
    try:
        run_ids = [run_id(run) for run in _runs(searched, values)]
    except ConfigError as error:
        raise ConfigError(unselected(searched, str(error))) from error
    return _run(values, selected(searched, run_ids, results_root()) if run_ids else {})


def search(overrides: Sequence[str]) -> tuple[Search, list[RunConfig]]:
    """The search that `overrides` with `+sweep=…` describe, and its runs by point and seed. Raises ConfigError."""
    values = composed(overrides)
    sweep = _sweep(values)
    assert sweep is not None, "overrides of a search have a sweep"
    searched = Search.of(values, sweep, overrides)
    return searched, _runs(searched, values)


def _run(values: Mapping[str, Any], point: Values) -> RunConfig:
    """The run as if the values of `point` had been typed. Raises ConfigError, also where a file is not there."""
    changed = dict(values)
    for field, value in point.items():
        section, _, key = field.partition(".")
        changed[section] = {**changed[section], key: value} if key else value
    config = typed(changed)
    keys(inputs_of(config))
    return config


def _sweep(values: Mapping[str, Any]) -> SweepConfig | None:
    """The sweep among composed values. Raises ConfigError."""
    try:
        return SweepConfig.model_validate(values["sweep"]) if "sweep" in values else None
    except ValidationError as error:
        raise ConfigError(explain(error, "sweep")) from error


def _runs(searched: Search, values: Mapping[str, Any]) -> list[RunConfig]:
    """The runs of a search, point by point."""
    runs: list[RunConfig] = []
    for point in searched.points():
        try:
            config = _run(values, point)
        except ConfigError as error:
            elsewhere = " or ".join(map(option, point))
            raise ConfigError(f"sweep={searched.name} tries {typed_point(point)}: {error}; or {elsewhere}") from error
        runs += [config.model_copy(update={"seed": seed}) for seed in searched.seeds]
    return runs
