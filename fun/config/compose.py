"""From Hydra's composition to a checked `RunConfig`."""

import copy
import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from fun.config.checks import check, check_choices
from fun.config.lookup import fill
from fun.config.schema import ModelConfig, RunConfig, results_root
from fun.config.search import Search, SweepConfig, Values, selected, sweep_config, unselected
from fun.errors import ConfigError
from fun.paths import CONFIG_DIR


def compose(overrides: Sequence[str]) -> RunConfig:
    """The run that `python -m fun.run <overrides>` would be.

    Raises ConfigError with what was found, what was expected and what to type.
    """
    return from_values(composed(overrides))


def search(overrides: Sequence[str]) -> tuple[Search, list[RunConfig]]:
    """The search for the configuration that `overrides`, with `+sweep=…` among them, describe; and its runs.

    Point by point, each with all seeds. Raises ConfigError.
    """
    values = composed(overrides)
    _check(values)
    del values["hparams"]
    sweep = _sweep(values)
    assert sweep is not None, "overrides of a search have a sweep"
    found = Search.of(values, sweep)
    return found, _runs(found, values)


def from_hydra(found: DictConfig) -> RunConfig:
    """The run of what Hydra composed. Raises ConfigError."""
    return from_values(_plain(found))


def from_values(values: dict[str, Any]) -> RunConfig:
    """Look up what is null in composed values, build the typed configuration, check it. Raises ConfigError."""
    _check(values)
    values = dict(values)
    hparams, sweep = values.pop("hparams"), _sweep(values)
    if hparams not in ("published", "selected"):
        raise ConfigError(f"hparams is {hparams!r}; expected published or selected: type hparams=selected")
    if hparams == "published":
        return _build(values)
    searched = Search.of(values, sweep or sweep_config(None))
    try:
        run_ids = [run.run_id for run in _runs(searched, values)]
    except ConfigError as error:
        raise ConfigError(unselected(searched, str(error))) from error
    return _build(_with(values, selected(searched, run_ids, results_root()) if run_ids else {}))


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra composes of `overrides`, nested; null is still to be looked up. Raises ConfigError."""
    # Inside a Hydra application (a sweep's check) Hydra is set up already, for this same directory.
    hydra_is_up = GlobalHydra.instance().is_initialized()
    setup = nullcontext() if hydra_is_up else initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR))
    try:
        with setup:
            return _plain(hydra_compose("config", overrides=list(overrides)))
    except Exception as error:
        if refused := refusal(error, overrides):
            raise refused from error
        raise


def _check(values: Mapping[str, Any]) -> None:
    for name, fields in SECTIONS.items():
        if not isinstance(values.get(name, {}), dict):
            raise ConfigError(f"{name} is {values[name]!r}; expected its fields: type {name}.{fields[0]}=…")
    check_choices(values["task"]["name"], values["adapter"]["name"], values["schedule"]["name"])


def _sweep(values: dict[str, Any]) -> SweepConfig | None:
    """The sweep among composed values, which it leaves. Raises ConfigError."""
    typed = values.pop("sweep", None)
    try:
        return sweep_config(typed) if typed is not None else None
    except ValidationError as error:
        raise ConfigError(_explain(error, {"sweep": typed}, ("sweep",))) from error


def _build(values: dict[str, Any]) -> RunConfig:
    """The checked configuration, after looking up what is null in composed values, which stay as they are."""
    values = copy.deepcopy(values)
    paper = values["paper"]
    values |= {"looked_up": fill(values, paper["rules"]), "paper": paper["name"]}
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, values)) from error
    check(config)
    return _with_producers(config)


def _runs(found: Search, values: dict[str, Any]) -> list[RunConfig]:
    """The runs of a search: as if its values had been typed."""
    points = (_run(found, values, point) for point in found.points())
    return [config.model_copy(update={"seed": seed}) for config in points for seed in found.seeds]


def _run(found: Search, values: dict[str, Any], point: Values) -> RunConfig:
    try:
        return _build(_with(values, point))
    except ConfigError as error:
        raise ConfigError(found.problem(point, str(error))) from error


def _with(values: Mapping[str, Any], typed: Mapping[str, float]) -> dict[str, Any]:
    changed = dict(values)
    for field, value in typed.items():
        section, _, key = field.partition(".")
        changed[section] = {**changed[section], key: value}
    return changed


def producer(model: ModelConfig, language: str) -> RunConfig:
    """The run that `language_adapters.<language>=train` stands for: task=mlm for this encoder, with its defaults."""
    return _mlm(model.name).model_copy(update={"model": model, "lang": language})


def producer_command(model: ModelConfig, language: str) -> str:
    """What to type for that run."""
    default = _mlm(model.name).model
    read = model.model_dump(exclude={"pooler", "head_layers"}, exclude_none=True)  # what is not a task's head
    typed = [f"model.{key}={value}" for key, value in read.items() if value != getattr(default, key)]
    return shlex.join(["python", "-m", "fun.run", "task=mlm", f"lang={language}", f"model={model.name}", *typed])


@cache
def _mlm(model: str) -> RunConfig:
    """Composed once for all languages of a model: a planner resolves the same origins hundreds of times."""
    return compose(["task=mlm", f"model={model}", f"lang={RunConfig.SOURCE_LANGUAGE}"])


@cache
def _producer_id(model: ModelConfig, language: str) -> str:
    return producer(model, language).run_id


def _with_producers(config: RunConfig) -> RunConfig:
    """Origin `train` becomes the run that it stands for; nothing is trained or looked up on disk."""
    if not config.uses_language_adapters:
        return config
    origins = {
        language: f"run:{_producer_id(config.model, language)}" if origin == "train" else origin
        for language, origin in config.language_adapters.items()
    }
    return config.model_copy(update={"language_adapters": origins})


def _plain(config: DictConfig | ListConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key} has no value: type {error.full_key}=…") from error
    return cast(dict[str, Any], values)


def refusal(error: Exception, typed: Sequence[str]) -> ConfigError | None:
    """What Hydra refuses in `typed`, in one line; None for an error that is not about what was typed."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return ConfigError(_hydra_says(error))
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return ConfigError(_not_a_name(typed))
    return None


SECTIONS = {
    name: list(field.annotation.model_fields)
    for name, field in RunConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
"""The sections of a configuration -> their fields."""

HYDRAS_ADVICE = {
    r"Ambiguous value for argument '([^=]*)=(.*)'": r"\1=\2 stands for many runs: type -m too, or \1=[\2] for a list",
    r"Sweep parameters '(.*)' requires --multirun": r"\1 stands for many runs: type -m as well",
    r"Either remove \+ prefix: '(.*)'": r"+\1 adds a field that is there already: type \1",
    r"To append to your default list use \+(\S+)": r"\1 chooses from a group that not every run has: type +\1",
}
"""What Hydra says in several lines -> what to say instead."""


def _hydra_says(error: Exception) -> str:
    """Hydra's error in one line: found, expected, what to type."""
    message, cause = str(error), error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return _not_a_choice(group, choice, error.options)
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(cause.parent_node, DictConfig):
        return _not_a_field(str(cause.full_key), cause.parent_node)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    for pattern, line in HYDRAS_ADVICE.items():
        if found := re.search(pattern, message):
            return found.expand(line)
    reason = f": {str(cause).splitlines()[0]}" if isinstance(cause, OmegaConfBaseException) else ""
    return " ".join(message.split("\nConfig search path")[0].split()) + reason


def _not_a_choice(group: str, choice: str, options: Sequence[str]) -> str:
    near = difflib.get_close_matches(choice, options, n=1)
    advice = f"did you mean {near[0]}?" if near else f"type {group}=…"
    return f"{group} is {choice!r}; expected one of {', '.join(options)}: {advice}"


def _not_a_name(typed: Sequence[str]) -> str:
    """Of a choice like 1000 or null Hydra says neither what it is nor what chooses it."""
    for override in typed:
        group, _, choice = override.lstrip("+").partition("=")
        options = sorted(file.stem for file in (CONFIG_DIR / group).glob("*.yaml")) if group else []
        if options and choice not in options:
            return _not_a_choice(group, choice, options)
    return f"{' '.join(typed)} cannot be read: type group=choice or key=value"


def _not_a_field(full_key: str, section: DictConfig) -> str:
    """`section` is where the last part of `full_key` was looked for."""
    within, _, key = full_key.rpartition(".")
    if within == "language_adapters":
        return f"this model has no place for language {key}: type +{full_key}=… to add one"
    fields = {field: f"{within}.{field}".lstrip(".") for field in map(str, section) if field != "name"}
    if not within:
        parts = {name: part for name in fields if isinstance(part := section[name], DictConfig) and name != "hydra"}
        fields = {field: f"{name}.{field}" for name, part in parts.items() for field in map(str, part)} | fields
    chosen = f"{within}={section['name']}" if "name" in section and "." not in within else within
    found = f"{chosen} has no field {key}" if within else f"there is no field {key}"
    if near := difflib.get_close_matches(key, fields, n=1):
        return f"{found}: did you mean {fields[near[0]]}?"
    if not within:
        return f"{found}: python -m fun.run --help shows all"
    in_a_sweep = f", or run {chosen} in a sweep of its own" if within == "schedule" else ""
    return f"{found}; it has {', '.join(fields) or 'none'}: leave {full_key} out{in_a_sweep}"


def _unreadable(override: str) -> str:
    key, is_set, value = override.partition("=")
    if not is_set:
        return f"{override!r} is neither group=choice nor key=value: type {override}=…"
    quoted = shlex.quote(f'{key}="{value}"')
    return f"{key} is {value!r}, which cannot be read; expected a value, with special characters quoted: type {quoted}"


def _explain(error: ValidationError, values: dict[str, Any], within: tuple[str, ...] = ()) -> str:
    """One line per problem: field, value found, what was expected; `within` the section that was validated alone."""
    lines = []
    for problem in error.errors():
        # A section that depends on its name has that name as the second element of the location.
        parts = [*within, *(str(part) for part in problem["loc"])]
        if len(parts) > 2 and parts[1] == values[parts[0]]["name"]:
            del parts[1]
        field = ".".join(parts)
        if problem["input"] is None:
            lines.append(f"{field} has no value for this choice of task, model, adapter and schedule: type {field}=…")
        elif problem["type"] == "tuple_type":
            lines.append(f"{field} is {problem['input']!r}; expected a list: type {field}=[{problem['input']}]")
        elif problem["type"] == "missing":
            lines.append(f"{field} has no value: type {field}=…")
        elif problem["type"] == "value_error":
            lines.append(str(problem["ctx"]["error"]))
        elif problem["type"] == "extra_forbidden":
            lines.append(f"{field} is not a field of this configuration; leave it out")
        else:
            expected = problem["msg"].replace("Input should be", "expected").replace("Input", "it")
            lines.append(f"{field} is {problem['input']!r}; {expected}")
    return "; ".join(lines)
