"""From what is typed to a typed `RunConfig`: Hydra composes, the paper's values fill what is null, pydantic types."""

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from pydantic import ValidationError

from fun.config.checks import check, check_choices
from fun.config.rules import fill
from fun.config.schema import RunConfig
from fun.errors import ConfigError
from fun.paths import CONFIG_DIR


def typed(composition: Mapping[str, Any]) -> RunConfig:
    """The typed and checked configuration of composed values, after looking up what is null. Raises ConfigError.

    They stay as they are; neither `hparams` nor `sweep` is among them any more.
    """
    values = copy.deepcopy(dict(composition))
    for name, default in _composed_alone("").items():
        if isinstance(default, dict) and not isinstance(values.get(name), dict):
            field = f"{name}.{next(iter(default))}"
            raise ConfigError(f"{name} is {values.get(name)!r}; expected its fields: type {field}=…")
    for name, section in values.items():
        for field in section if isinstance(section, dict) else ():
            if section[field] == MISSING:
                raise ConfigError(f"{name}.{field} has no value: type {name}.{field}=…")
    check_choices(values)
    paper = values["paper"]
    values |= {"looked_up": fill(values, paper["rules"]), "paper": paper["name"]}
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error
    check(config)
    return config


# Composition


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra composes of `overrides`, nested; null is still to be looked up. Raises ConfigError.

    Hydra takes a tenth of a second, and a planner composes hundreds of runs from few choices. So plain choices and
    values are put together from what each choice composes alone, where no two of them fill the same section.
    """
    try:
        return _assembled(overrides)
    except (_NotPlain, HydraException, KeyError):
        return _composed(overrides)  # which also says what is wrong


class _NotPlain(Exception):
    """Overrides that only Hydra itself can put together."""


def _assembled(overrides: Sequence[str]) -> dict[str, Any]:
    default = _composed_alone("")
    values, filled = dict(default), set[str]()
    chosen = [override for override in overrides if _CHOICE.fullmatch(override)]
    chosen = [override for override in chosen if isinstance(default.get(override.partition("=")[0]), dict)]
    for override in chosen:
        alone = _composed_alone(override)
        sections = {name for name in alone if alone[name] != default.get(name)} | {override.partition("=")[0]}
        if sections & filled:
            raise _NotPlain
        filled |= sections
        values |= {name: alone[name] for name in sections}
    typed = [override for override in overrides if override not in chosen]
    if not all(map(_VALUE.match, typed)) or any("${" in override for override in typed):
        raise _NotPlain
    for parsed in OverridesParser.create().parse_overrides(typed):
        section, _, field = parsed.key_or_group.partition(".")
        known = field in values[section] if isinstance(values[section], dict) else not field
        if not known or parsed.is_sweep_override():
            raise _NotPlain
        values[section] = {**values[section], field: parsed.value()} if field else parsed.value()
    return values


_CHOICE, _VALUE = re.compile(r"\w+=\w+"), re.compile(r"\w+(\.\w+)?=")


@cache
def _composed_alone(override: str) -> Mapping[str, Any]:
    return _composed([override] if override else [])


def _composed(overrides: Sequence[str]) -> dict[str, Any]:
    try:
        with hydra_is_up():
            return plain(hydra_compose("config", overrides=list(overrides)))
    except Exception as error:
        if message := hydra_says(error):
            raise ConfigError(message) from error
        raise


@contextmanager
def hydra_is_up() -> Iterator[ConfigLoader]:
    """Hydra with our conf/, which gives what it loads configuration from. Inside an application it is up already."""
    hydra = GlobalHydra.instance()
    if hydra.is_initialized():
        yield hydra.config_loader()
    else:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            yield hydra.config_loader()


def typed_fields(overrides: Sequence[str]) -> frozenset[str]:
    """The keys that `overrides` give a value, or a choice."""
    return frozenset(override.lstrip("+~").partition("=")[0] for override in overrides)


def plain(composition: DictConfig) -> dict[str, Any]:
    """What Hydra composed, nested. Raises ConfigError."""
    try:
        values: Any = OmegaConf.to_container(composition, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    return dict(values)


def assignment(key: str, value: object) -> str:
    """`key=value` as Hydra reads it back: a string with characters of Hydra's grammar, or like a number, is quoted."""
    plain = f"{key}={value}"
    try:
        (parsed,) = OverridesParser.create().parse_overrides([plain])
        if not isinstance(value, str) or (parsed.value() == value and not parsed.is_sweep_override()):
            return plain
    except HydraException:
        pass
    escaped = re.sub(r"(\\*)('|$)", lambda part: 2 * part[1] + (part[2] and f"\\{part[2]}"), str(value))
    return f"{key}='{escaped}'"


# What is wrong


def hydra_says(error: Exception) -> str:
    """Hydra's own message of what it refuses in what was typed, with a near name; empty for any other error."""
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return f"{error}: type the name of a choice, or python -m fun.run --help to see them"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return ""
    message, cause = str(error).split("\nConfig search path")[0].strip(), error.__cause__
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(cause.parent_node, DictConfig):
        fields = map(str, cause.parent_node)
        if near := difflib.get_close_matches(str(cause.full_key).rpartition(".")[2], fields, n=1):
            message += f"\nDid you mean {near[0]}?"
    return message


def explain(error: ValidationError, *within: str) -> str:
    """One line for all problems: field, value found, what was expected; `within` the section validated alone."""
    problems = []
    for problem in error.errors():
        parts = map(str, problem["loc"])  # of which a union adds which of its types it tried
        field = ".".join([*within, *(part for part in parts if re.fullmatch(r"[\w.]+", part))])
        problems.append(_problem(field, problem))
    return "; ".join(problems)


def _problem(field: str, problem: Mapping[str, Any]) -> str:
    match problem["type"]:
        case "value_error":
            return str(problem["ctx"]["error"])
        case "extra_forbidden":
            return f"{field} is not a field of this configuration; leave it out"
        case "missing":
            return f"{field} has no value: type {field}=…"
        case _ if problem["input"] is None:
            return f"{field} has no value for this choice of task, model, adapter and schedule: type {field}=…"
        case "tuple_type":
            return f"{field} is {problem['input']!r}; expected a list: type {field}=[{problem['input']}]"
    expected = problem["msg"].replace("Input should be", "expected").replace("Input", "it")
    return f"{field} is {problem['input']!r}; {expected}"
