"""What a run reads, listed once: identity, prefetch, gaps, planner and the run itself go over these lists."""

import hashlib
import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from fun import world
from fun.config.compose import assignment, composed, typed
from fun.config.data import evaluations, source
from fun.config.schema import ModelConfig, RunConfig
from fun.data import Source
from fun.data.files import sha256_of
from fun.errors import ConfigError
from fun.inputs.identity import identity_of
from fun.machine.hub import Hub, Repository
from fun.models import files
from fun.results import NotDone, RunFolder, done_run, run_id_of


@dataclass(frozen=True)
class Input(ABC):
    """Something that a run reads, by its `name` in the record."""

    name: str

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it lies, for people."""

    @abstractmethod
    def key(self) -> str:
        """What names its content, without a download. Raises ConfigError where a file is not there."""

    def fetch(self) -> None:
        """Bring it into the hub's cache, if its place is on the hub, and check it. Raises ConfigError and HubError."""
        return

    def check(self, hub: Hub) -> str:
        """What is there, told without a download. Raises ConfigError and HubError where it is not what a run needs."""
        return "there"

    def producer(self) -> tuple[str, ...]:
        """The overrides of the run that makes it, where the configuration tells how; none where none makes it."""
        return ()

    def gap(self, root: Path) -> str | None:
        """What is missing below the results root, and what to type; None where nothing is."""
        return None


@dataclass(frozen=True)
class Encoder(Input):
    """The encoder with its tokenizer."""

    model: ModelConfig

    @property
    def place(self) -> str:
        return _hub_key(self.model.source, self.model.revision)

    def key(self) -> str:
        return _content_key(self.place, "encoder", files.encoder_files)

    def fetch(self) -> None:
        from fun.models.encoders import download  # it takes seconds to import

        if repository := _repository(self.place):
            download(repository)

    def check(self, hub: Hub) -> str:
        if not (repository := _repository(self.place)):
            return "there"
        from transformers import AutoConfig

        from fun.models.encoders import check_encoder, check_type

        model = self.model
        names = [hub.any_of(repository, names) for names in (files.WEIGHTS, files.VOCABULARIES)]
        described = hub.description(repository, files.CONFIG)
        check_type(described, model.source)
        config = AutoConfig.for_model(**described)
        check_encoder(config, name=model.name, layers=model.layers, positions=model.positions)
        return f"{model.layers} layers, {model.positions} positions, {', '.join(names)}"

    def gap(self, root: Path) -> str | None:
        if self.place.startswith("sha256:"):
            return f"model.source={self.place} names an encoder that is not here: type model.source=folder:<path>"
        return None

    def description(self, hub: Hub) -> Mapping[str, Any]:
        """What its configuration says, wherever it lies. Raises as `check` does."""
        if repository := _repository(self.place):
            return hub.description(repository, files.CONFIG)
        folder = world.folder("encoder") if self.place == "world" else Path(self.place.removeprefix("folder:"))
        described: Mapping[str, Any] = json.loads((folder / files.CONFIG).read_text(encoding="utf-8"))
        return described


@dataclass(frozen=True)
class WorldHead(Input):
    """The head that the world's encoder was pretrained with. Elsewhere it is in the encoder's own files, or nowhere."""

    place = "world"

    def key(self) -> str:
        return world.key("mlm_head")


@dataclass(frozen=True)
class Rows(Input):
    """A split of a data set in one language: of its rows every so many-th, from the first."""

    data: Source = field(compare=False)
    dataset: str
    language: str
    split: str
    every: int = 1

    @property
    def place(self) -> str:
        return self.data.place(self.dataset, self.language, self.split)

    def key(self) -> str:
        key = self.data.key(self.dataset, self.language, self.split)
        return key if self.every == 1 else f"{key}[::{self.every}]"

    def fetch(self) -> None:
        # As the run itself reads them: what is incomplete or not as expected shows now.
        self.data.rows(self.dataset, self.language, self.split)

    def check(self, hub: Hub) -> str:
        return self.data.check(hub, self.dataset, self.language, self.split)

    def gap(self, root: Path) -> str | None:
        return self.data.gap(self.dataset, self.language, self.split)


@dataclass(frozen=True)
class Artifact(Input):
    """What a run of `task` makes for one language, from the `origin` that the configuration gives; None: from none.

    `paper`: whose values that run has where the origin is `train`.
    """

    task: ClassVar[str]

    model: ModelConfig
    language: str
    origin: str | None
    paper: str

    @property
    def place(self) -> str:
        return _hub_key(self.source) if self.source else f"nowhere ({self.language})"

    @property
    def source(self) -> str | None:
        """The origin, with `train` as the run that it stands for."""
        return f"run:{_run_id_of(self._default)}" if self.origin == "train" else self.origin

    @property
    def run_id(self) -> str:
        """The run that makes it; empty for what no run of ours made."""
        kind, _, place = (self.source or "").partition(":")
        return place if kind == "run" else ""

    @property
    def _default(self) -> tuple[str, ...]:
        """The overrides of the run that `train` stands for."""
        return _overrides(self.task, self.model, self.language, self.paper)

    def key(self) -> str:
        """What a run of ours made is named by that run; empty where there is none."""
        return self.source or ""

    def producer(self) -> tuple[str, ...]:
        return self._default if self.run_id and self.run_id == _run_id_of(self._default) else ()

    def gap(self, root: Path) -> str | None:
        if not self.run_id:
            return None
        try:
            done_run(root, self.run_id, self.task)
        except NotDone as missing:
            if maker := self.producer():
                command = shlex.join(("python", "-m", "fun.run", *maker))
                return f"the {self} is not there yet: type {command} first, then this command again"
            return f"the {self} is not there: {missing}; finish it, then type this command again"
        return None


@dataclass(frozen=True)
class LanguageAdapter(Artifact):
    """The language adapter of one language."""

    task = "mlm"
    declared: bool = field(compare=False)  # whether the configuration has a place for this language

    def __str__(self) -> str:
        return f"language adapter of {self.language}"

    def key(self) -> str:
        return _content_key(self.place, f"adapters/{self.language}", files.adapter_files) if self.source else ""

    def fetch(self) -> None:
        from fun.models.language_adapters import download

        if repository := _repository(self.place):
            download(repository)

    def check(self, hub: Hub) -> str:
        if not (repository := _repository(self.place)):
            return "there"
        from fun.models.language_adapters import check_fits

        weights = hub.any_of(repository, files.ADAPTER_WEIGHTS)
        described = hub.description(repository, files.ADAPTER_CONFIG)
        fields = {"model_type": None, "hidden_size": None, **Encoder("encoder", self.model).description(hub)}
        check_fits(described, SimpleNamespace(**fields | {"name_or_path": self.model.source}), self.place)
        return f"fits its encoder, {weights}"

    def gap(self, root: Path) -> str | None:
        if self.source:
            return super().gap(root)
        new = "" if self.declared else "+"
        return (
            f"{self.language} has no language adapter in this run: for a run that has one, type "
            f"{new}language_adapters.{self.language}=train, or =hub:<namespace>/<name>"
        )


@dataclass(frozen=True)
class Fisher(Artifact):
    """The diagonal Fisher of one language's text."""

    task = "fisher"

    def __str__(self) -> str:
        return f"Fisher of {self.language}"

    def file(self, root: Path) -> Path:
        """The file of its done run below a results root. Raises NotDone and Damaged."""
        return done_run(root, self.run_id, self.task).path / files.FISHER

    def gap(self, root: Path) -> str | None:
        if (missing := super().gap(root)) or self.producer():
            return missing
        made = done_run(root, self.run_id, self.task).record()
        if made.config.get("lang") != self.language or made.inputs["encoder"] != Encoder("encoder", self.model).key():
            return f"run:{self.run_id} is not the {self} for this encoder: leave regularizer.origins out"
        return None


def training_inputs(config: RunConfig) -> list[Input]:
    """What training reads, validation included."""
    data, language = source(config), config.training_language
    dataset = data.training_set(config.task)
    inputs: list[Input] = [Encoder("encoder", config.model)]
    if config.task.by_language and config.model.source == "world":
        inputs.append(WorldHead("mlm_head"))
    inputs += [Rows(f"{dataset}.{language}.{split}", data, dataset, language, split) for split in config.task.splits]
    return [*inputs, *language_adapters(config, language), *fishers(config)]


def evaluation_inputs(config: RunConfig, dataset: str, language: str) -> list[Input]:
    """What an evaluation reads besides the run's weights and its encoder."""
    rows = Rows(f"{dataset}.{language}.test", source(config), dataset, language, "test", config.evaluate.every)
    return [rows, *language_adapters(config, language)]


def inputs_of(config: RunConfig) -> list[Input]:
    """What a run reads in training and in the evaluations that its command asks for, each input once."""
    tested = ((dataset, language) for dataset, languages in evaluations(config).items() for language in languages)
    inputs = [*training_inputs(config), *(each for test in tested for each in evaluation_inputs(config, *test))]
    return list(dict.fromkeys(inputs))


def language_adapters(config: RunConfig, language: str) -> list[LanguageAdapter]:
    """The language adapter of a language, with or without an origin; none where the run uses none."""
    if not config.adapter.uses_language_adapters:
        return []
    name, origins = f"language_adapter.{language}", config.language_adapters
    return [LanguageAdapter(name, config.model, language, origins.get(language), config.paper, language in origins)]


def fishers(config: RunConfig) -> list[Fisher]:
    """The Fishers that what acts on the gradient reads."""
    origins = {**config.mask.fishers, **config.regularizer.fishers}
    return [Fisher(f"fisher.{code}", config.model, code, origin, config.paper) for code, origin in origins.items()]


def adapter_origins(config: RunConfig) -> dict[str, str | None]:
    """Language -> where its language adapter comes from; empty where the run uses none."""
    adapters = (each for language in config.language_adapters for each in language_adapters(config, language))
    return {adapter.language: adapter.source for adapter in adapters}


def keys(inputs: Iterable[Input]) -> dict[str, str]:
    """Name -> content key; a language without a language adapter has none."""
    return {input.name: key for input in inputs if (key := input.key())}


def evaluation_keys(config: RunConfig, dataset: str, language: str) -> dict[str, str]:
    """What an evaluation's keys in the record have to be: `rows`, and `language_adapter` where it uses one."""
    names = {f"{dataset}.{language}.test": "rows", f"language_adapter.{language}": "language_adapter"}
    return {names[name]: key for name, key in keys(evaluation_inputs(config, dataset, language)).items()}


def identity(config: RunConfig) -> dict[str, Any]:
    """What the run_id hashes."""
    return identity_of(config, keys(training_inputs(config)))


def run_id(config: RunConfig) -> str:
    """16 hexadecimal digits that name what the run computes: the start of the SHA-256 of its identity."""
    return run_id_of(identity(config))


def run_folder(config: RunConfig, root: Path) -> RunFolder:
    """The run's folder below a results root, which need not be there."""
    name = run_id(config)
    return RunFolder(root / "runs" / config.task.name / config.model.name / f"{config.label}-{name}", name)


@cache
def _overrides(task: str, model: ModelConfig, language: str, paper: str) -> tuple[str, ...]:
    """The overrides of the task with a paper's defaults for this encoder."""
    chosen = [f"task={task}", f"lang={language}", f"model={model.name}"]
    default = composed(chosen)
    read = model.model_dump(exclude={"pooler", "head_layers"}, exclude_none=True)  # what is not a task's head
    fields = [assignment(f"model.{key}", value) for key, value in read.items() if value != default["model"][key]]
    return (*chosen, *([f"paper={paper}"] if paper != default["paper"]["name"] else []), *fields)


@cache
def _run_id_of(overrides: tuple[str, ...]) -> str:
    """Composed once: a planner resolves the same origins hundreds of times."""
    return run_id(typed(composed(overrides)))


def _repository(place: str) -> Repository | None:
    """The hub's repository of a model at a place; None where that is not the hub."""
    kind, _, where = place.partition(":")
    name, _, revision = where.partition("@")
    return Repository(name, revision) if kind == "hub" else None


def _hub_key(origin: str, revision: str | None = None) -> str:
    """An origin, with the revision of what is on the hub: main where none is pinned. No cache's place ever enters."""
    return f"{origin}@{revision or 'main'}" if origin.startswith("hub:") and "@" not in origin else origin


def _content_key(place: str, shipped: str, read: Callable[[Path], list[Path]]) -> str:
    """What names the content of a place: `shipped` of the world, what is `read` of a folder; else the place itself."""
    if place == "world":
        return world.key(shipped)
    return folder_key(place, read) if place.startswith("folder:") else place


def folder_key(origin: str, read: Callable[[Path], list[Path]]) -> str:
    """The hash of the names and contents of the files that are `read` of a folder, and of no others.

    Raises ConfigError where the folder, or one of them, is not there.
    """
    folder = Path(origin.removeprefix("folder:"))
    if not folder.is_dir():
        raise ConfigError(f"{origin}: there is no such folder; expected one with a model's or adapter's files")
    try:
        named = [f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in sorted(read(folder))]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{origin} cannot be read ({error}): give a folder with all files of the model") from error
    if not named:
        raise ConfigError(f"{origin} has none of the files that are read: give a folder with all files of the model")
    return f"sha256:{hashlib.sha256(''.join(named).encode()).hexdigest()}"
