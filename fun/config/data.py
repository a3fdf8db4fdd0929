"""Which data a configuration is about: facts, without a file being read."""

import os
from functools import partial
from pathlib import Path

from fun import data as sources
from fun import world
from fun.config.schema import RunConfig
from fun.data import corpora
from fun.data.sources import BY_HAND


def source(config: RunConfig) -> sources.Source:
    """Where the run's rows come from: `data.root`, else the miniature world with its encoder, else the hub, and
    `$FUN_DATA` for what that does not have."""
    return config.task.source(config, _examples(config), partial(_text, config))


def _text(config: RunConfig, sample: corpora.Sample) -> sources.Source:
    if config.data.root is not None:
        return corpora.FolderText(Path(config.data.root), sample)
    return corpora.WorldText(sample) if config.model.source == "world" else corpora.HubText(sample)


def _examples(config: RunConfig) -> sources.Source:
    root, nonstandard = config.data.root, config.data.nonstandard
    if root is not None:
        return sources.FolderSource(Path(root), nonstandard=nonstandard)
    if config.model.source != "world":
        by_hand = os.environ.get(BY_HAND)
        folder = sources.FolderSource(by_hand, nonstandard=nonstandard, name=BY_HAND) if by_hand else None
        return sources.HubSource(nonstandard=nonstandard, by_hand=folder)
    # Only a run that names an adapter for such a language is tested in it.
    return sources.WorldSource(tuple(code for code in world.UNSEEN if config.language_adapters.get(code) is not None))


def test_sets(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """Data set -> the languages that the run can be tested in, its training language first.

    A language adapter is tested on held-out text of its own language. With `data.nonstandard` the languages are
    those whose files are there.
    """
    if not config.task.trains:
        return {}
    available = source(config).test_sets(config.task)
    return dict.fromkeys(available, (config.training_language,)) if config.lang is not None else available


def evaluations(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """Data set -> the languages of it that the command asks for."""
    wanted = config.evaluate.languages
    return {
        dataset: tuple(language for language in tested if wanted is None or language in wanted)
        for dataset, tested in test_sets(config).items()
    }


def languages(config: RunConfig) -> tuple[str, ...]:
    """The languages of the run: that of its training data, then those of its test sets."""
    tested = (language for names in test_sets(config).values() for language in names)
    return tuple(dict.fromkeys((config.training_language, *tested)))


def training_examples(config: RunConfig) -> int | None:
    """The number of training examples before any subset is taken; None where it is known only once loaded."""
    if config.data.nonstandard:
        return None
    data = source(config)
    return data.expected_rows(data.training_set(config.task), config.training_language, "train")
