"""The inputs that a run reads, with a content key each, and the facts about them that checks need."""

from pathlib import Path

from fun import data as sources
from fun import world
from fun.config.schema import RunConfig
from fun.data import corpora
from fun.inputs.origins import folder_key, hub_key
from fun.tasks.mlm import MlmTask


def source(config: RunConfig) -> sources.Source:
    """Where the run's rows come from: `data.root`, else the miniature world with its encoder, else the hub."""
    root, nonstandard = config.data.root, config.data.nonstandard
    in_world = config.model.source == "world"
    if isinstance(config.task, MlmTask):
        train = config.train
        sample = corpora.Sample.of(config.task.validation_examples, train.updates, train.batch_size)
        if root is not None:
            return corpora.FolderText(Path(root), sample)
        return corpora.WorldText(sample) if in_world else corpora.HubText(sample)
    if root is not None:
        return sources.FolderSource(Path(root), nonstandard=nonstandard)
    if not in_world:
        return sources.HubSource(nonstandard=nonstandard)
    # Only a run that names an adapter for such a language is tested in it, and is then named by that.
    return sources.WorldSource(tuple(code for code in world.UNSEEN if config.language_adapters.get(code) is not None))


def inputs(config: RunConfig) -> dict[str, str]:
    """Input of the training -> content key: encoder, training and validation rows, their language's adapter.

    What a run is tested on is no part of it: see `evaluation_keys`. Files on disk are hashed; nothing is downloaded.
    Raises ConfigError where one of them is not there.
    """
    task, language, data = config.task, config.training_language, source(config)
    keys = {"encoder": encoder_key(config)}
    if config.task.by_language and config.model.source == "world":
        keys["mlm_head"] = world.mlm_head_key()  # elsewhere it is published in the encoder's own files, or not at all
    dataset = data.training_set(task)
    for split in ("train", "validation"):
        keys[f"{dataset}.{language}.{split}"] = data.key(dataset, language, split)
    if config.uses_language_adapters and (origin := config.language_adapters.get(language)) is not None:
        keys[f"language_adapter.{language}"] = language_adapter_key(origin, language)
    return keys


def evaluation_keys(config: RunConfig, dataset: str, language: str) -> dict[str, str]:
    """The content keys of what an evaluation reads besides the run's weights: its rows and its language adapter."""
    keys = {"rows": source(config).key(dataset, language, "test")}
    if config.uses_language_adapters and (origin := config.language_adapters.get(language)) is not None:
        keys["language_adapter"] = language_adapter_key(origin, language)
    return keys


def encoder_key(config: RunConfig) -> str:
    """The content key of the encoder and its tokenizer."""
    origin = config.model.source
    if origin == "world":
        return world.encoder_key()
    return folder_key(origin) if origin.startswith("folder:") else hub_key(origin, config.model.revision)


def language_adapter_key(origin: str, language: str) -> str:
    """The content key of a language adapter: what was trained here is named by its run."""
    if origin == "world":
        return world.language_adapter_key(language)
    if origin.startswith("hub:"):
        return hub_key(origin)
    return folder_key(origin) if origin.startswith("folder:") else origin


def test_sets(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """Data set -> the languages that the run is tested in, its training language first.

    A language adapter is tested on held-out text of its own language.
    """
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
