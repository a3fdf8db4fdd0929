"""Downloads what runs read from the hub into its cache, so that they work without a network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fun.config import RunConfig
from fun.errors import FunError
from fun.inputs.keys import encoder_key, language_adapter_key, source, test_sets
from reproduce.runs.store import read_languages


class Download(Protocol):
    """Downloads one thing, unless the cache has it, and checks it. Raises FunError."""

    def __call__(self) -> object: ...


@dataclass(frozen=True)
class Fetched:
    """An input by its content key, and what went wrong; empty where it is in the cache."""

    key: str
    problem: str = ""


def prefetch(configs: Iterable[RunConfig]) -> Iterator[Fetched]:
    """Bring every input of the runs that comes from the hub into the cache, each once; one by one."""
    downloads: dict[str, Download] = {}
    for config in configs:
        for key, download in _downloads(config):
            if key.startswith("hub:"):
                downloads.setdefault(key, download)
    for key, download in downloads.items():
        try:
            download()
        except FunError as error:
            yield Fetched(key, str(error))
        else:
            yield Fetched(key)


def _downloads(config: RunConfig) -> Iterator[tuple[str, Download]]:
    """The inputs of a run by content key, with what downloads each where it comes from the hub."""
    yield encoder_key(config), partial(_encoder, config.model.source, config.model.revision)
    for language in read_languages(config):
        if (origin := config.language_adapters.get(language)) is not None:
            yield language_adapter_key(origin, language), partial(_language_adapter, origin)
    data = source(config)
    for dataset, language, split in _splits(config):
        # As the run itself reads them: what is incomplete or not as expected shows now.
        yield data.key(dataset, language, split), partial(data.rows, dataset, language, split)


def _splits(config: RunConfig) -> Iterator[tuple[str, str, str]]:
    """Data set, language and split of all rows that a run reads."""
    training_set = source(config).training_set(config.task)
    yield training_set, config.training_language, "train"
    if config.task.by_language:
        return  # the other splits are parts of the same text
    yield training_set, config.training_language, "validation"
    wanted = config.evaluate.languages
    for dataset, tested in test_sets(config).items():
        yield from ((dataset, language, "test") for language in tested if wanted is None or language in wanted)


# These modules take seconds to import.


def _encoder(origin: str, revision: str | None) -> None:
    from fun.machine.hub import Repository
    from fun.models.encoders import download

    download(Repository(origin.removeprefix("hub:"), revision))


def _language_adapter(origin: str) -> None:
    from fun.machine.hub import Repository
    from fun.models.language_adapters import download

    name, _, revision = origin.removeprefix("hub:").partition("@")
    download(Repository(name, revision or None))
