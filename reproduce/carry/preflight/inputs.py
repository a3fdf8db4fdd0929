"""What the runs of a target read: where each input should be, what is expected there, and how to find out."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from fun import world
from fun.config import RunConfig
from fun.config.schema import ModelConfig
from fun.data import FolderSource, HubSource, Source
from fun.data.corpora import FILES, REVISION, WIKIPEDIA, HubText
from fun.data.facts import located
from fun.errors import FunError
from fun.inputs import (
    Artifact,
    Encoder,
    LanguageAdapter,
    fishers,
    language_adapters,
    languages,
    source,
    test_sets,
)
from fun.machine.hub import Repository
from fun.models import encoders, files
from fun.results import RunFolder, State, Status, folders_of
from reproduce.carry.preflight.hub import ANOTHER, OLDER, Hub, Result, Unmet

VOCABULARIES = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spm.model")
"""Any of them makes a tokenizer."""

FITTING = ("model_type", "hidden_size")
"""What a language adapter has in common with its encoder."""


@dataclass(frozen=True)
class Input:
    """Something that runs read: what it is, the place where it should be, and what is expected there.

    `find` says what is there. It raises Unmet where that is not what is expected, and HubError where the hub does
    not answer. Two inputs of the same names are one.
    """

    what: str
    place: str
    expected: str
    find: Callable[[Hub], str] = field(compare=False)


def inputs_of(configs: Iterable[RunConfig], results: Path) -> list[Input]:
    """What runs read, each input once. Our own language adapters are looked for below the results root `results`.

    Of one that is still to be trained, the inputs of its training are among them.
    """
    return list(dict.fromkeys(found for config in configs for found in _inputs(config, results)))


def _inputs(config: RunConfig, results: Path) -> Iterator[Input]:
    yield _encoder(config.model, Encoder("encoder", config.model).key())
    data = source(config)
    dataset, language = data.training_set(config.task), config.training_language
    for split in config.task.splits:
        yield _data(config, data, dataset, language, split)
    for dataset, tested in test_sets(config).items():
        for language in tested:
            yield _data(config, data, dataset, language, "test")
    for language in languages(config):
        for adapter in language_adapters(config, language):
            yield from _language_adapter(config.model, adapter, results)
    for fisher in fishers(config):
        yield from _made_by_a_run(fisher, f"Fisher {fisher.language}, {config.model.name}", results)


def _local(what: str, key: str) -> Input:
    """What lies on this machine: a run without it would not have been composed."""
    if key.startswith("world@"):
        return Input("the miniature world", "world", "part of this package", _find_here)
    return Input(what, key, "on this machine", _find_here)


def _find_here(hub: Hub) -> str:
    return "there"


def _encoder(model: ModelConfig, key: str) -> Input:
    what = f"encoder, {model.name}"
    if not model.source.startswith("hub:"):
        return _local(what, key)
    expected = f"{model.layers} layers, {model.positions} positions, weights, tokenizer"
    return Input(what, str(_repository(model)), expected, partial(_find_encoder, model))


def _find_encoder(model: ModelConfig, hub: Hub) -> str:
    listing = hub.listing(_repository(model))
    names = [listing.any_of(names) for names in (files.WEIGHTS, VOCABULARIES)]
    described = hub.description(listing, listing.any_of([files.CONFIG]))
    if described.get("model_type") not in encoders.MODEL_TYPES:
        wanted = f"one of {', '.join(encoders.MODEL_TYPES)}: {ANOTHER}"
        raise Unmet(Result.differs, f"a model of type {described.get('model_type')}", wanted)
    config = AutoConfig.for_model(**described)
    layers, positions = config.num_hidden_layers, encoders.readable_positions(config)
    found = f"{layers} layers, {positions} positions, {', '.join(names)}"
    if (layers, positions) != (model.layers, model.positions):
        raise Unmet(Result.differs, found, f"type model.layers={layers} model.positions={positions}, or {ANOTHER}")
    return found


def _repository(model: ModelConfig) -> Repository:
    return Repository(model.source.removeprefix("hub:"), model.revision or "main")


def _data(config: RunConfig, data: Source, dataset: str, language: str, split: str) -> Input:
    match data:
        case HubSource():
            facts, theirs = located(dataset, language, split)
            repository = Repository(facts.hub.id, facts.hub.revision, kind="dataset")
            pattern = facts.hub.files[theirs].format(language=language)
            rows = None if config.data.nonstandard else data.expected_rows(dataset, language, split)
            return _table(f"{dataset} {language} {split}", repository, pattern, facts.columns, rows)
        case HubText():
            repository = Repository(WIKIPEDIA, REVISION, kind="dataset")
            return _table(f"{dataset} {language}", repository, FILES.format(language=language), ("text",), None)
        case FolderSource():
            rows = None if config.data.nonstandard else data.expected_rows(dataset, language, split)
            expected = f"{rows:,} rows" if rows else "rows"
            find = partial(_find_rows, data, dataset, language, split)
            return Input(f"{dataset} {language} {split}", data.key(dataset, language, split), expected, find)
        case _:
            return _local(f"{dataset} {language} {split}", data.key(dataset, language, split))


def _table(what: str, repository: Repository, pattern: str, columns: tuple[str, ...], rows: int | None) -> Input:
    expected = f"{pattern}: {', '.join(columns)}" + (f"; {rows:,} rows" if rows is not None else "")
    return Input(what, str(repository), expected, partial(_find_table, repository, pattern, columns, rows))


def _find_table(repository: Repository, pattern: str, columns: tuple[str, ...], rows: int | None, hub: Hub) -> str:
    listing = hub.listing(repository)
    names = listing.matching(pattern)
    # Files are counted where a number is known; otherwise one speaks for all: Wikipedia has dozens.
    tables = [hub.table(listing, name) for name in (names if rows is not None else names[:1])]
    for table in tables:
        if any(column not in table.columns for column in columns):
            raise Unmet(Result.differs, f"columns {', '.join(table.columns)}", f"the publisher renamed one: {OLDER}")
    files = f"{len(names)} file{'s' * (len(names) > 1)}"
    if rows is None:
        return f"{files} with these columns"
    count = sum(table.rows for table in tables)
    if count != rows:
        remedy = f"{OLDER}; data.nonstandard=true runs on it all the same, marked and in no paper table"
        raise Unmet(Result.differs, f"{count:,} rows in {files}", remedy)
    return f"these columns, {count:,} rows in {files}"


def _find_rows(data: FolderSource, dataset: str, language: str, split: str, hub: Hub) -> str:
    """The publisher's own files are small, and here: they are read."""
    try:
        return f"{len(data.rows(dataset, language, split)):,} rows"
    except FunError as error:
        raise Unmet(Result.differs, "cannot be used", str(error)) from error


def _language_adapter(model: ModelConfig, adapter: LanguageAdapter, results: Path) -> Iterator[Input]:
    language = adapter.language
    what = f"language adapter {language}, {model.name}"
    kind, _, place = (adapter.source or "null").partition(":")
    match kind:
        case "null":
            yield Input(what, "null", "a language adapter", partial(_find_none, language))
        case "hub":
            name, _, revision = place.partition("@")
            repository = Repository(name, revision or "main")
            yield Input(what, str(repository), "for this encoder, weights", partial(_find_adapter, model, repository))
        case "run":
            yield from _made_by_a_run(adapter, what, results)
        case _:
            yield _local(what, adapter.key())


def _find_none(language: str, hub: Hub) -> str:
    raise Unmet(Result.missing, "none", f"type language_adapters.{language}=train, or =hub:<namespace>/<name>")


def _find_adapter(model: ModelConfig, repository: Repository, hub: Hub) -> str:
    listing = hub.listing(repository)
    weights = listing.any_of(files.ADAPTER_WEIGHTS)
    described = hub.description(listing, listing.any_of([files.ADAPTER_CONFIG]))
    found = {field: described.get(field) for field in FITTING}
    said = ", ".join(f"{field}={value}" for field, value in found.items())
    try:
        encoder = _described(model, hub)
    except Unmet:  # a row of its own says so
        return f"{said}, {weights}; there is no encoder to compare with"
    wanted = {field: encoder.get(field) for field in FITTING}
    if found != wanted:
        remedy = ", ".join(f"{field}={value}" for field, value in wanted.items())
        raise Unmet(Result.differs, said, f"give an adapter for {model.source}, with {remedy}")
    return f"{said}, {weights}"


def _described(model: ModelConfig, hub: Hub) -> dict[str, Any]:
    """The description of an encoder, wherever it lies."""
    kind, _, place = model.source.partition(":")
    if kind == "hub":
        return hub.description(hub.listing(_repository(model)), files.CONFIG)
    folder = world.encoder_folder() if kind == "world" else Path(place)
    found: dict[str, Any] = json.loads((folder / files.CONFIG).read_text(encoding="utf-8"))
    return found


def _made_by_a_run(artifact: Artifact, what: str, results: Path) -> Iterator[Input]:
    """Its run's state and, where that is still to be done and is one by default, what that run reads."""
    maker, name = artifact.producer(), artifact.run_id
    unmade = results / f"runs/{artifact.task}/{artifact.model.name}/{artifact.language}-{name}"
    status = RunFolder([*folders_of(results, name, artifact.task), unmade][0], name).status()
    command = artifact.command if maker else "finish that run"
    yield Input(what, f"run:{name}", "done", partial(_find_run, status, command))
    if maker and status.state is not State.DONE:
        yield from _inputs(maker, results)


def _find_run(status: Status, command: str, hub: Hub) -> str:
    if status.state is State.DONE:
        return "done"
    raise Unmet(Result.missing, f"{status.state}: {status.detail}" if status.detail else str(status.state), command)
