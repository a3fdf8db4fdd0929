"""The inputs that a run reads, with a content key each, and the facts about them that checks need."""

from fun import world
from fun.config.schema import RunConfig
from fun.tasks.sources import WorldSource
from fun.world.splits import SIZES

SOURCE = WorldSource()


def inputs(config: RunConfig) -> dict[str, str]:
    """Input -> content key: encoder, language adapters, and every split of the task's data sets.

    All languages of the task are in, whichever were evaluated: evaluating one more does not rename a run.
    """
    task, english = config.task.name, config.SOURCE_LANGUAGE
    keys = {"encoder": world.encoder_key()}
    dataset = SOURCE.training_set(task)
    for split in ("train", "validation"):
        keys[f"{dataset}.{english}.{split}"] = SOURCE.key(dataset, english, split)
    for dataset, available in SOURCE.test_sets(task).items():
        for language in available:
            keys[f"{dataset}.{language}.test"] = SOURCE.key(dataset, language, "test")
            if config.adapter.language_adapter:
                keys[f"language_adapter.{language}"] = world.language_adapter_key(language)
    return keys


def languages(task: str) -> tuple[str, ...]:
    """The languages of the task's test sets, source language first."""
    return tuple(dict.fromkeys(language for names in SOURCE.test_sets(task).values() for language in names))


def training_examples(task: str) -> int:
    """The number of training examples before any subset is taken."""
    return SIZES[task]["train"]


def windows_decide(task: str) -> bool:
    """Whether one example may become several training examples (QA contexts longer than the window)."""
    return task == "squad"
