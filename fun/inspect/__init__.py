"""Examples as the model will see them: `python -m fun.inspect task=squad lang=th model=xlmr`.

`request` says what to look at, from the overrides of a run and options of the same form; `report` reads it as the run
would and asks its task what there is to tell, `rendering` prints that.
"""

from collections.abc import Sequence
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
    if {"task=mlm", "task=fisher"} & set(overrides) and "lang" in options:
        overrides.append(f"lang={options['lang']}")  # the run's own field: whose text it reads
    config = compose(overrides)
    task, language, dataset = config.task, options.get("lang", config.training_language), options.get("dataset")
    split = options.get("split", "test" if task.trains else "train")
    if split not in SPLITS:
        raise ConfigError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
    tested = test_sets(config) if split == "test" else {source(config).training_set(task): (config.training_language,)}
    if dataset is not None and dataset not in tested:
        raise ConfigError(f"dataset is {dataset!r}; split={split} of task={task.name} is {' or '.join(tested)}")
    candidates = {dataset: tested[dataset]} if dataset else tested
    having = [name for name, languages in candidates.items() if language in languages]
    if not having:
        has = "; ".join(f"{name} has {', '.join(languages)}" for name, languages in candidates.items())
        other = "" if split == "test" else ", or split=test"
        raise ConfigError(f"lang is {language!r}; split={split} of {has}: type one of these{other}")
    first, count = _number("first", options.get("first", "0"), 0), _number("n", options.get("n", "3"), 1)
    return Request(config, having[0], language, split, first, count)


def _number(name: str, typed: str, least: int) -> int:
    if not typed.isdecimal() or int(typed) < least:
        raise ConfigError(f"{name} is {typed!r}; expected a number from {least} on")
    return int(typed)
