"""Downloads what runs read from the hub into its cache, so that they work without a network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fun.config import RunConfig
from fun.errors import FunError
from fun.inputs import Input, evaluation_inputs, evaluations, training_inputs


@dataclass(frozen=True)
class Fetched:
    """An input by its content key, and what went wrong; empty where it is in the cache."""

    key: str
    problem: str = ""


def prefetch(configs: Iterable[RunConfig]) -> Iterator[Fetched]:
    """Bring every input of the runs that comes from the hub into the cache, each once; one by one."""
    for key, each in {each.key(): each for config in configs for each in _inputs(config)}.items():
        if key.startswith("hub:"):
            try:
                each.fetch()
            except FunError as error:
                yield Fetched(key, str(error))
            else:
                yield Fetched(key)


def _inputs(config: RunConfig) -> Iterator[Input]:
    """What a run reads in training, and in the evaluations that its command asks for."""
    inputs = training_inputs(config)
    if config.task.by_language:  # training, validation and test are parts of the same text
        inputs = [each for each in inputs if not each.name.endswith(".validation")]
    yield from inputs
    for dataset, languages in evaluations(config).items():
        for language in () if config.task.by_language else languages:
            yield from evaluation_inputs(config, dataset, language)
