"""What to look at: the overrides of a run, and options of the same form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fun.config import RunConfig
from fun.errors import ConfigError
from fun.inputs import compose, source, test_sets

OPTIONS = ("lang", "dataset", "split", "first", "n")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Request:
    """The examples `first` to `first + count - 1` of a split, as the run `config` reads it."""

    config: RunConfig
    dataset: str
    language: str
    split: str
    first: int
    count: int


def request(typed: Sequence[str]) -> Request:
    """What was typed, checked. Raises ConfigError with what was found, what was expected and what to type."""
    options = dict(argument.split("=", 1) for argument in typed if argument.partition("=")[0] in OPTIONS)
    overrides = [argument for argument in typed if argument.partition("=")[0] not in OPTIONS]
    if "task=mlm" in overrides and "lang" in options:
        overrides.append(f"lang={options['lang']}")  # the run's own field: what it trains an adapter for
    config = compose(overrides)
    language = options.get("lang", config.training_language)
    split = options.get("split", "test")
    if split not in SPLITS:
        raise ConfigError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
    available = _available(config, split)
    return Request(
        config=config,
        dataset=_dataset(config, available, split, language, options.get("dataset")),
        language=language,
        split=split,
        first=_number("first", options.get("first", "0"), 0),
        count=_number("n", options.get("n", "3"), 1),
    )


def _available(config: RunConfig, split: str) -> Mapping[str, tuple[str, ...]]:
    """Data set -> languages."""
    if split == "test":
        return test_sets(config)
    return {source(config).training_set(config.task): (config.training_language,)}


def _dataset(
    config: RunConfig, available: Mapping[str, tuple[str, ...]], split: str, language: str, typed: str | None
) -> str:
    task = config.task.name
    if typed is not None and typed not in available:
        raise ConfigError(f"dataset is {typed!r}; split={split} of task={task} is {' or '.join(available)}")
    candidates = {typed: available[typed]} if typed is not None else available
    for dataset, languages in candidates.items():
        if language in languages:
            return dataset
    has = "; ".join(f"{dataset} has {', '.join(languages)}" for dataset, languages in candidates.items())
    other = "" if split == "test" else ", or split=test"
    raise ConfigError(f"lang is {language!r}; split={split} of {has}: type one of these{other}")


def _number(name: str, typed: str, least: int) -> int:
    if not typed.isdecimal() or int(typed) < least:
        raise ConfigError(f"{name} is {typed!r}; expected a number from {least} on")
    return int(typed)
