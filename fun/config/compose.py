"""From Hydra's composition to a checked `RunConfig`."""

import dataclasses
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fun.config.checks import check
from fun.config.lookup import fill
from fun.config.schema import RunConfig, ScheduleConfig
from fun.errors import ConfigError, NotBuilt
from fun.unfreezing import SCHEDULES


def _config_dir() -> Path:
    """conf/ lies beside this package in a checkout and inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


CONFIG_DIR = _config_dir()


def compose(overrides: Sequence[str]) -> RunConfig:
    """The run that `python -m fun.run <overrides>` would be.

    Raises ConfigError with what was found, what was expected and what to type.
    """
    # Inside a Hydra application (a sweep's check) Hydra is set up already, for this same directory.
    hydra_is_up = GlobalHydra.instance().is_initialized()
    setup = nullcontext() if hydra_is_up else initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR))
    try:
        with setup:
            composed = hydra_compose("config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_hydra_says(str(error))) from error
    return from_hydra(composed)


def from_hydra(composed: DictConfig) -> RunConfig:
    """Look up what is null, build the typed configuration, check it. Raises ConfigError."""
    values = _plain(composed)
    values.pop("hydra", None)
    protocol = values.pop("protocol")
    model = values["model"]["name"]
    if values["model"]["source"] != "world":
        raise NotBuilt(f"model={model} is declared, but this version runs only the built-in one: type model=micro")
    table = f"hyperparameters/{model}.yaml"
    fill(values, _plain(OmegaConf.load(CONFIG_DIR / table))["rules"], table)
    fill(values, protocol["rules"], f"protocol/{protocol['name']}.yaml")
    try:
        config = RunConfig.model_validate(values | {"schedule": _schedule(values["schedule"])})
    except ValidationError as error:
        raise ConfigError(_explain(error, values)) from error
    check(config)
    return config


def _plain(config: DictConfig | ListConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key} has no value: type {error.full_key}=…") from error
    return cast(dict[str, Any], values)


def _hydra_says(message: str) -> str:
    """Hydra's message without its advice to append a key, which a closed configuration refuses."""
    message = message.split("\nTo append to your config")[0]
    if found := re.search(r"Could not override '(schedule\.\w+)'", message):
        return f"{message} This schedule has no {found[1]}: run it in a sweep of its own"
    return message


def _schedule(values: dict[str, Any]) -> ScheduleConfig:
    name = values["name"]
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ConfigError(f"schedule.name is {name!r}; expected one of {', '.join(sorted(SCHEDULES))}")
    fields = {key: value for key, value in values.items() if key != "name"}
    known = [field.name for field in dataclasses.fields(SCHEDULES[name])]  # type: ignore[arg-type]
    if unknown := [key for key in fields if key not in known]:
        raise ConfigError(
            f"schedule.{unknown[0]} is not a field of schedule={name}; it has {', '.join(known) or 'none'}"
        )
    if missing := [key for key, value in fields.items() if value is None]:
        raise ConfigError(f"schedule.{missing[0]} has no value here: type schedule.{missing[0]}=…")
    try:
        return ScheduleConfig(name=name, fields=fields, built=SCHEDULES[name](**fields))
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _explain(error: ValidationError, values: dict[str, Any]) -> str:
    """One line per problem: field, value found, what was expected."""
    lines = []
    for problem in error.errors():
        # A section that depends on its name has that name as the second element of the location.
        parts = [str(part) for part in problem["loc"]]
        if len(parts) > 2 and parts[1] == values[parts[0]]["name"]:
            del parts[1]
        field = ".".join(parts)
        if problem["input"] is None:
            lines.append(f"{field} has no value for this choice of task, model, adapter and schedule: type {field}=…")
        elif problem["type"] == "tuple_type":
            lines.append(f"{field} is {problem['input']!r}; expected a list: type {field}=[{problem['input']}]")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"{field} is not a field of this configuration; leave it out")
        else:
            expected = problem["msg"].replace("Input should be", "expected").replace("Input", "it")
            lines.append(f"{field} is {problem['input']!r}; {expected}")
    return "; ".join(lines)
