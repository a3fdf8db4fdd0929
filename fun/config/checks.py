"""Checks across fields: every mistake that can be known before a download or a training step."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fun.config.data import languages, training_examples
from fun.config.schema import RunConfig
from fun.errors import ConfigError
from fun.models.tuning import TUNINGS
from fun.tasks import TASKS
from fun.unfreezing import SCHEDULES, Standard

HUB_ID = r"hub:[\w.-]+/[\w.-]+"
ENCODER = re.compile(rf"world|{HUB_ID}|folder:.+|sha256:[0-9a-f]{{64}}")
LANGUAGE_ADAPTER = re.compile(rf"world|train|{HUB_ID}(@[\w./-]+)?|run:[0-9a-f]{{16}}|folder:.+")


def check_choices(values: Mapping[str, Any]) -> None:
    """Raise ConfigError for choices that do not go together, before any value is looked up for them."""
    task, adapter, schedule = (values[group]["name"] for group in ("task", "adapter", "schedule"))
    kind, tuning, scheduling = TASKS.get(values["task"]["kind"]), TUNINGS.get(adapter), SCHEDULES.get(schedule)
    if kind is None or tuning is None or scheduling is None:
        return  # told with the choices that there are
    if not kind.trains and not tuning.pretrained:
        raise ConfigError(f"task={task} is about the encoder's own weights, not adapter={adapter}: leave adapter out")
    if kind.trains and kind.by_language and not tuning.by_language:
        raise ConfigError(f"task={task} trains a language adapter, not adapter={adapter}: leave adapter out")
    if tuning.by_language and not kind.by_language:
        raise ConfigError(f"adapter={adapter} is a language's own, and task={task} trains none: leave adapter out")
    if not kind.trains and scheduling is not Standard:
        raise ConfigError(f"task={task} makes no update for schedule={schedule} to act on: leave it out")
    if (tuning.by_language or not tuning.layered) and scheduling is not Standard:
        raise ConfigError(
            f"adapter={adapter} has no unfreezing schedule, and schedule={schedule} was chosen: type "
            f"schedule={Standard.name}"
        )


def check(config: RunConfig) -> None:
    """Raise ConfigError for a run that could not work, or that would not do what was typed."""
    for problems in (_of_lang, _of_origins, _of_sizes, _of_schedule, _of_tests):
        for problem in problems(config):
            raise ConfigError(problem)
    for choice in (config.task, config.adapter, config.regularizer, config.mask):
        choice.check(config)


def planned_updates(config: RunConfig) -> tuple[int, int, bool]:
    """Updates in all and in an epoch; whether the first is only a lower bound (QA windows, or data not counted yet)."""
    examples = config.data_size.examples or training_examples(config) if config.task.trains else None
    per_epoch = -(-examples // config.train.batch_size) if examples else 1
    budget = config.train.updates if config.task.batches is None else config.task.batches
    if budget is not None:
        return budget, per_epoch, False
    assert config.train.epochs is not None
    # The authors' subset rule cuts a second time, after windowing: its number of training examples is exact.
    exact = config.data_size.subset == "first" or not config.task.windows
    return config.train.epochs * per_epoch, per_epoch, not (examples and exact)


def check_updates(config: RunConfig, updates: int, per_epoch: int) -> None:
    """Raise ConfigError unless warm-up, schedule and mask fit `updates` updates, `per_epoch` of them in an epoch."""
    config.mask.check_epochs(-(-updates // per_epoch))
    if config.train.warmup >= updates:
        raise ConfigError(
            f"train.warmup is {config.train.warmup}, and training has {updates} updates: type a smaller train.warmup"
        )
    planned = config.schedule.planned(config.layers, updates, per_epoch)
    last = max((change.update for change in planned), default=0)
    if last > updates:
        raise ConfigError(
            f"schedule={config.schedule.name} opens its last layer at update {last}, but training has "
            f"{updates} updates: type a smaller schedule.k or train.updates={last} or more"
        )


def _of_lang(config: RunConfig) -> Iterator[str]:
    task, codes = config.task.name, ", ".join(config.language_adapters)
    if not config.task.by_language:
        if config.lang is not None:
            yield (
                f"lang={config.lang} names the language of a text: type task=mlm or task=fisher, or "
                f"evaluate.languages=[{config.lang}] to test in it"
            )
        return
    if config.lang is None:
        yield f"task={task} reads the text of one language: type lang=…, such as one of {codes}"
    if config.task.trains and config.lang not in config.language_adapters:
        yield (
            f"lang is {config.lang!r}; model={config.model.name} has {codes}: type one of these, or "
            f"+language_adapters.{config.lang}=train as well"
        )
    if config.data_size.examples is not None:
        yield f"task={task} takes as much of the text as it needs: type data_size=full"
    if config.keep == "predictions":
        yield f"task={task} is there for its weights: type keep=weights"
    if config.track.fisher_every:
        yield f"track.fisher_every follows a task adapter, and task={task} trains none: leave it out"
    if config.track.tests_every:
        yield f"track.tests_every scores test sets, and task={task} has none: leave it out"


def _of_origins(config: RunConfig) -> Iterator[str]:
    model, origins = config.model, config.language_adapters
    if not ENCODER.fullmatch(model.source):
        yield (
            f"model.source is {model.source!r}; expected world, hub:<namespace>/<name> or folder:<path>: type "
            f"model=mbert, or model.source=hub:google-bert/bert-base-multilingual-cased"
        )
    if model.revision is not None and not model.source.startswith("hub:"):
        yield f"model.revision pins a model of the hub, but model.source is {model.source}: leave it out"
    for language, origin in origins.items():
        if origin is not None and not LANGUAGE_ADAPTER.fullmatch(origin):
            yield (
                f"language_adapters.{language} is {origin!r}; expected hub:<namespace>/<name>[@<revision>], "
                "run:<16 hexadecimal digits>, folder:<path>, train, world or null"
            )
    if not config.adapter.uses_language_adapters:
        return
    if origins.get(config.SOURCE_LANGUAGE) is None:
        yield (
            f"the task adapter is trained on the language adapter of {config.SOURCE_LANGUAGE}, and there is none: "
            f"type language_adapters.{config.SOURCE_LANGUAGE}=train, or adapter.language_adapter=false"
        )
    for language in languages(config):  # of this run alone: what the others have is not read
        if origins.get(language) == "world" and model.source != "world":
            yield (
                f"language_adapters.{language} is world, which fits the miniature world's encoder alone: type "
                f"language_adapters.{language}=train"
            )


def _of_sizes(config: RunConfig) -> Iterator[str]:
    train, size = config.train, config.data_size
    if config.precision == "fp16" and config.device == "cpu":
        yield "precision=fp16 needs a GPU: type device=cuda, or precision=bf16"
    if config.task.trains and (train.epochs is None) == (train.updates is None):
        given, cure = ("both", "leave one out") if train.epochs else ("neither", "type train.updates=…")
        yield f"{given} of train.epochs and train.updates given; expected one: {cure}"
    if config.task.max_length > config.model.positions:
        yield (
            f"task.max_length is {config.task.max_length}, but model={config.model.name} reads at most "
            f"{config.model.positions} tokens: type task.max_length={config.model.positions} or less"
        )
    if (size.examples is None) != (size.subset is None):
        yield "data_size.examples and data_size.subset go together: type data_size=1k, 5k, 10k or full"
    available = training_examples(config)
    if size.examples is not None and available is not None and size.examples > available:
        yield (
            f"data_size={size.name} asks for {size.examples} training examples, but task={config.task.name} has "
            f"{available}: type data_size=full"
        )


def _of_schedule(config: RunConfig) -> Iterator[str]:
    updates, per_epoch, at_least = planned_updates(config)
    try:
        config.schedule.planned(config.layers, updates, per_epoch)
    except ValueError as error:
        yield str(error)
    if config.task.trains and not at_least:
        check_updates(config, updates, per_epoch)
    elif config.task.trains:  # the rest is known, and checked, once the windows are counted; there are no fewer
        config.mask.check_epochs(-(-updates // per_epoch))
    if not config.layers and config.track.fisher_every:
        yield f"track.fisher_every is by layer, and adapter={config.adapter.name} has none: leave it out"
    if config.schedule.chooses_by_scores or config.track.fisher_every:
        config.fisher.check(config)


def _of_tests(config: RunConfig) -> Iterator[str]:
    tested = languages(config)
    for language in config.evaluate.languages or ():
        if language not in tested:
            yield f"evaluate.languages has {language!r}; task={config.task.name} has {', '.join(tested)}"
    if config.evaluate.every > 1 and config.task.grouped:
        yield f"evaluate.every={config.evaluate.every} tears apart what task={config.task.name} scores together: type 1"
