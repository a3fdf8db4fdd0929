"""What a run reads, listed once: identity, prefetch, gaps, planner and the run itself go over these lists."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from fun import world
from fun.config.compose import assignment, composed, typed
from fun.config.data import evaluations, source
from fun.config.schema import ModelConfig, RunConfig
from fun.data import Source
from fun.inputs.identity import identity_of
from fun.inputs.origins import folder_key, hub_key
from fun.machine.hub import Repository
from fun.models.files import FISHER, adapter_files, encoder_files
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
        """Bring what comes from the hub into its cache, and check it. Raises ConfigError and HubError."""
        return

    def producer(self) -> RunConfig | None:
        """The run that makes it, where the configuration tells how."""
        return None

    def gap(self, root: Path) -> str | None:
        """What is missing below the results root, and what to type; None where nothing is."""
        return None


@dataclass(frozen=True)
class Encoder(Input):
    """The encoder with its tokenizer."""

    model: ModelConfig

    @property
    def place(self) -> str:
        return self.model.source

    def key(self) -> str:
        origin = self.model.source
        if origin == "world":
            return world.encoder_key()
        if origin.startswith("folder:"):
            return folder_key(origin, encoder_files)
        return hub_key(origin, self.model.revision)

    def fetch(self) -> None:
        from fun.models.encoders import download  # it takes seconds to import

        if self.model.source.startswith("hub:"):
            download(Repository(self.model.source.removeprefix("hub:"), self.model.revision))


@dataclass(frozen=True)
class WorldHead(Input):
    """The head that the world's encoder was pretrained with. Elsewhere it is in the encoder's own files, or nowhere."""

    place = "world"

    def key(self) -> str:
        return world.mlm_head_key()


@dataclass(frozen=True)
class Rows(Input):
    """A split of a data set in one language."""

    data: Source = field(compare=False)
    dataset: str
    language: str
    split: str

    @property
    def place(self) -> str:
        return self.data.place(self.dataset, self.language, self.split)

    def key(self) -> str:
        return self.data.key(self.dataset, self.language, self.split)

    def fetch(self) -> None:
        # As the run itself reads them: what is incomplete or not as expected shows now.
        if self.key().startswith("hub:"):
            self.data.rows(self.dataset, self.language, self.split)


@dataclass(frozen=True)
class Artifact(Input):
    """What a run of `task` makes for one language, from the `origin` that the configuration gives; None: from none."""

    task: ClassVar[str]

    model: ModelConfig
    language: str
    origin: str | None

    @property
    def place(self) -> str:
        return self.source or "nowhere"

    @property
    def source(self) -> str | None:
        """The origin, with `train` as the run that it stands for."""
        return f"run:{_default_id(self.task, self.model, self.language)}" if self.origin == "train" else self.origin

    @property
    def run_id(self) -> str:
        """The run that makes it; empty for what no run of ours made."""
        kind, _, place = (self.source or "").partition(":")
        return place if kind == "run" else ""

    @property
    def command(self) -> str:
        """What to type for the run that `train` stands for."""
        default = _default(self.task, self.model.name).model
        read = self.model.model_dump(exclude={"pooler", "head_layers"}, exclude_none=True)  # what is not a task's head
        fields = [assignment(f"model.{key}", value) for key, value in read.items() if value != getattr(default, key)]
        named = [f"task={self.task}", f"lang={self.language}", f"model={self.model.name}"]
        return shlex.join(["python", "-m", "fun.run", *named, *fields])

    def key(self) -> str:
        """What a run of ours made is named by that run; empty where there is none."""
        return self.source or ""

    def producer(self) -> RunConfig | None:
        ours = self.run_id and self.run_id == _default_id(self.task, self.model, self.language)
        return _made_by(self.task, self.model, self.language) if ours else None

    def gap(self, root: Path) -> str | None:
        if not self.run_id:
            return None
        try:
            done_run(root, self.run_id, self.task)
        except NotDone as missing:
            if self.producer() is None:
                return f"the {self} is not there: {missing}; finish it, then type this command again"
            return f"the {self} is not there yet: type {self.command} first, then this command again"
        return None


@dataclass(frozen=True)
class LanguageAdapter(Artifact):
    """The language adapter of one language."""

    task = "mlm"
    known: bool = field(compare=False)  # whether the configuration has a place for this language

    def __str__(self) -> str:
        return f"language adapter of {self.language}"

    def key(self) -> str:
        origin = self.source or ""
        if origin == "world":
            return world.language_adapter_key(self.language)
        if origin.startswith("folder:"):
            return folder_key(origin, adapter_files)
        return hub_key(origin) if origin.startswith("hub:") else origin

    def fetch(self) -> None:
        from fun.models.language_adapters import download

        if (origin := self.source or "").startswith("hub:"):
            name, _, revision = origin.removeprefix("hub:").partition("@")
            download(Repository(name, revision or None))

    def gap(self, root: Path) -> str | None:
        if self.source is None:
            new = "" if self.known else "+"
            return (
                f"{self.language} has no language adapter in this run: for a run that has one, type "
                f"{new}language_adapters.{self.language}=train, or =hub:<namespace>/<name>"
            )
        return super().gap(root)


@dataclass(frozen=True)
class Fisher(Artifact):
    """The diagonal Fisher of one language's text."""

    task = "fisher"

    def __str__(self) -> str:
        return f"Fisher of {self.language}"

    def file(self, root: Path) -> Path:
        """The file of its done run below a results root. Raises NotDone and Damaged."""
        return done_run(root, self.run_id, self.task).path / FISHER

    def gap(self, root: Path) -> str | None:
        if (missing := super().gap(root)) or self.producer() is not None:
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
    for split in config.task.splits:
        inputs.append(Rows(f"{dataset}.{language}.{split}", data, dataset, language, split))
    return [*inputs, *language_adapters(config, language), *fishers(config)]


def evaluation_inputs(config: RunConfig, dataset: str, language: str) -> list[Input]:
    """What an evaluation reads besides the run's weights and its encoder."""
    rows = Rows(f"{dataset}.{language}.test", source(config), dataset, language, "test")
    return [rows, *language_adapters(config, language)]


def language_adapters(config: RunConfig, language: str) -> list[LanguageAdapter]:
    """The language adapter of a language, with or without an origin; none where the run uses none."""
    if not config.uses_language_adapters:
        return []
    origins = config.language_adapters
    return [
        LanguageAdapter(
            f"language_adapter.{language}", config.model, language, origins.get(language), language in origins
        )
    ]


def fishers(config: RunConfig) -> list[Fisher]:
    """The Fishers that what acts on the gradient reads."""
    origins = {**config.mask.fishers, **config.regularizer.fishers}
    return [Fisher(f"fisher.{language}", config.model, language, origin) for language, origin in origins.items()]


def artifacts(config: RunConfig) -> list[Artifact]:
    """What the run reads that runs of ours make, or could: in training, and in the evaluations that are asked for."""
    tested = dict.fromkeys(language for languages in evaluations(config).values() for language in languages)
    languages = dict.fromkeys((config.training_language, *tested))
    return [*fishers(config), *(each for language in languages for each in language_adapters(config, language))]


def adapter_origins(config: RunConfig) -> dict[str, str | None]:
    """Language -> where its language adapter comes from; empty where the run uses none."""
    languages = config.language_adapters if config.uses_language_adapters else ()
    return {language: adapter.source for language in languages for adapter in language_adapters(config, language)}


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


def _made_by(task: str, model: ModelConfig, language: str) -> RunConfig:
    """The run that origin `train` stands for: the task with its defaults for this encoder."""
    return _default(task, model.name).model_copy(update={"model": model, "lang": language})


@cache
def _default(task: str, model: str) -> RunConfig:
    """Composed once for all languages of a model: a planner resolves the same origins hundreds of times."""
    values = composed([f"task={task}", f"model={model}", f"lang={RunConfig.SOURCE_LANGUAGE}"])
    return typed({name: value for name, value in values.items() if name not in ("hparams", "sweep")})


@cache
def _default_id(task: str, model: ModelConfig, language: str) -> str:
    return run_id(_made_by(task, model, language))
