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
from fun.config.schema import RunConfig, TrainConfig
from fun.errors import ConfigError
from fun.paths import CONFIG_DIR
from fun.tasks import TASKS
from fun.yaml_files import from_yaml


def typed(composition: Mapping[str, Any]) -> RunConfig:
    """The typed and checked configuration of composed values, after looking up what is null. Raises ConfigError.

    They stay as they are; which search `hparams` and `sweep` ask for is not looked at.
    """
    values = copy.deepcopy({name: value for name, value in composition.items() if name not in ("hparams", "sweep")})
    for name in _sections():
        if not isinstance(values.get(name), dict):
            field = f"{name}.{next(iter(_default()[name]))}"
            raise ConfigError(f"{name} is {values.get(name)!r}; expected its fields: type {field}=…")
    for name, section in values.items():
        for field in section if isinstance(section, dict) else ():
            if section[field] == MISSING:
                raise ConfigError(f"{name}.{field} has no value: type {name}.{field}=…")
    check_choices(values)
    paper = values["paper"]
    values |= {"looked_up": fill(values, paper["rules"]), "paper": paper["name"]}
    kind = TASKS.get(values["task"]["kind"])
    if kind and not kind.trains:  # needs none of these values, and leaves them null
        values["train"] = TrainConfig.model_construct(**values["train"])
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error
    check(config)
    return config


# Composition


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra composes of `overrides`, nested; null is still to be looked up. Raises ConfigError.

    Hydra takes a fifth of a second, and a planner composes hundreds of runs from few choices. So plain choices and
    values are put together from what each choice composes alone, where no two of them fill the same section.
    """
    try:
        return _assembled(overrides)
    except (_NotPlain, HydraException, KeyError):
        return _composed(overrides)  # which also says what is wrong


class _NotPlain(Exception):
    """Overrides that only Hydra itself can put together."""


def _assembled(overrides: Sequence[str]) -> dict[str, Any]:
    default = _default()
    values, filled = dict(default), set[str]()
    chosen = [override for override in overrides if _CHOICE.fullmatch(override)]
    chosen = [override for override in chosen if isinstance(default.get(override.partition("=")[0]), dict)]
    for override in chosen:
        sections = _filled(*override.split("="))
        if sections.keys() & filled:
            raise _NotPlain
        filled |= sections.keys()
        values |= sections
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
def _default() -> Mapping[str, Any]:
    return _composed([])


@cache
def _filled(group: str, name: str) -> Mapping[str, Any]:
    """Section -> its content, of those that a choice fills: what its file holds, and those of what follows it."""
    followers = [follower for follower, choice in _groups().items() if choice == f"${{{group}}}"]
    try:
        return {each: _of_file(each, name) for each in (group, *followers)}
    except _NotPlain:
        alone, default = _composed([f"{group}={name}"]), _default()
        return {
            section: alone[section] for section in alone if section == group or alone[section] != default.get(section)
        }


def _of_file(group: str, name: str) -> dict[str, Any]:
    """The section of a choice whose file alone says what it is, or with one that it extends. Raises _NotPlain."""
    path = CONFIG_DIR / group / f"{name}.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    content = from_yaml(text)
    if not isinstance(content, dict) or re.search(r"\$\{|^#\s*@package", text, re.MULTILINE):
        raise _NotPlain
    match content.pop("defaults", []):
        case []:
            return content
        case [str(base), "_self_"] if not any(isinstance(value, dict) for value in content.values()):
            return {**_of_file(group, base), **content}
    raise _NotPlain


@cache
def _main() -> Mapping[str, Any]:
    content: Mapping[str, Any] = from_yaml((CONFIG_DIR / "config.yaml").read_text(encoding="utf-8"))
    return content


def _groups() -> dict[str, str]:
    """Group -> its default choice."""
    entries = [entry for entry in _main()["defaults"] if isinstance(entry, dict)]
    return {group: name for entry in entries for group, name in entry.items() if group.isidentifier()}


def _sections() -> list[str]:
    """What has fields of its own."""
    own = [name for name, content in _main().items() if isinstance(content, dict) and name != "hydra"]
    return [*_groups(), *own]


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

_OPEN = ("hydra", "sweep", "language_adapters", "regularizer.origins")
"""Where a field may be added."""


def hydra_says(error: Exception) -> str:
    """Hydra's own message of what it refuses in what was typed, with a near name; empty for any other error."""
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return f"{error}: type the name of a choice, or python -m fun.run --help to see them"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return ""
    message, cause = str(error).split("\nConfig search path")[0].strip(), error.__cause__
    if not re.match(f"Could not override '({'|'.join(_OPEN)})", message):  # elsewhere + makes a field that nothing has
        message = re.sub(r"\nTo append to your config use .*", "", message)
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
    return "; ".join(dict.fromkeys(problems))  # a union has one for each of its types


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
