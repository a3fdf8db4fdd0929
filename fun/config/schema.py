"""The typed, closed form of a run's configuration. One class per choice, built once, read everywhere.

Null fields were filled before (`fun.config.rules`), so a field that must have a value has one here.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fun.config.choices import Chosen, active_fields, field_names
from fun.config.rules import OURS
from fun.errors import ConfigError
from fun.fisher import FISHERS, Estimator
from fun.methods import MASKS, REGULARIZERS, MethodChoice
from fun.models.tuning import TUNINGS, Tuning
from fun.tasks import TASKS, Task
from fun.unfreezing import SCHEDULES, Schedule


class Section(BaseModel):
    """A closed section: unknown keys, missing values and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelConfig(Section):
    """conf/model: the encoder, and how classification heads read it."""

    name: str
    """What the model is called, in folders and tables."""
    source: str
    """world, hub:<namespace>/<name> or folder:<path>; for tables alone sha256:<hash>, a folder's key in its records."""
    revision: str | None
    """Commit, tag or branch of the encoder on the hub; null: main."""
    layers: int = Field(ge=1)
    """Transformer layers; checked against the encoder."""
    positions: int = Field(ge=1)
    """Tokens of the longest sequence that it reads; checked against the encoder."""
    pooler: bool
    """Whether classification heads read the published pooler, which stays frozen, or the first token's state."""
    head_layers: int = Field(ge=1)
    """Linear layers of a classification head."""


class DataConfig(Section):
    """Where the data come from. Only their content is identity, and whether they may be other than the paper's."""

    root: str | None = Field(min_length=1)
    """A folder with the publishers' own files, read instead of the hub; null: the hub, or the miniature world."""
    nonstandard: bool
    """Accept other data than the paper's, or other counts of them; marks the run and its record."""


def null_means(default: object) -> BeforeValidator:
    """What a field is where neither a paper's rules nor anybody who types says anything of it."""
    return BeforeValidator(lambda value: default if value is None else value)


class DataSizeConfig(Section):
    """conf/data_size: all training examples, or a subset of so many."""

    name: str
    """What the size is called, in folders and tables."""
    examples: int | None = Field(default=None, ge=1)
    """Training examples; null: all of them."""
    subset: Literal["seeded", "first"] | None = None
    """seeded: random, and the smaller one within the larger; first: the first ones."""


class TrainConfig(Section):
    """Optimisation."""

    optimizer: Annotated[Literal["adamw", "adamw_transformers"], null_means("adamw")]
    """adamw, or null: torch's; adamw_transformers: the authors', which adds eps before the bias is corrected."""
    warmup: Annotated[int, Field(ge=0), null_means(0)]
    """Updates in which the learning rate rises linearly from 0; null, where no paper says: none."""
    dropout: float | None = Field(ge=0, lt=1)
    """Of the encoder's hidden states and attention, and of the head; null: the encoder's own."""
    lr: float = Field(gt=0)
    """The largest learning rate."""
    lr_schedule: Literal["linear", "constant"]
    """linear: down to 0 over all updates; constant."""
    batch_size: int = Field(ge=1)
    """Examples of one update."""
    epochs: int | None = Field(ge=1)
    """Passes over the training examples; give these or `updates`."""
    updates: int | None = Field(ge=1)
    """Optimizer steps; give these or `epochs`."""
    eval_every: Annotated[int, Field(ge=1)] | Literal["epoch"]
    """Updates between evaluations on English validation, which also select the checkpoint; epoch: at each one's end."""
    ties: Literal["earliest", "latest"]
    """Which of equally good checkpoints is selected."""
    weight_decay: float = Field(ge=0)
    """AdamW's."""
    clip: float = Field(gt=0)
    """The largest L2 norm of the gradient."""
    slots: int = Field(ge=1)
    """Token slots, padding included, of a micro-batch."""
    eval_slots: int = Field(ge=1)
    """Token slots of an evaluation batch."""


class EvaluateConfig(Section):
    """What to evaluate on; not identity, but the keys of each evaluation say which rows it read."""

    languages: tuple[str, ...] | None = Field(strict=False)
    """Languages to be tested in, such as [en,l1]; null: every language of the task."""
    every: int = Field(ge=1)
    """Of the rows of each test set every so many-th, from the first; 1: all."""


class TrackConfig(Section):
    """What to log along training; not identity."""

    fisher_every: int = Field(ge=0)
    """Updates between logs of tr(F) of the open layers; 0: never, at no cost."""
    tests_every: Annotated[int, Field(ge=1)] | Literal["epoch"] | None
    """Updates between scores in `evaluate.languages`, also after the last; epoch: at each one's end; null: none."""


class CheckpointConfig(Section):
    """How often to save, and how often to come back to one update; not identity."""

    every: int = Field(ge=1)
    """Updates between checkpoints."""
    minutes: float = Field(gt=0)
    """There is at least one checkpoint in so many minutes."""
    restarts: int = Field(ge=1)
    """Starts of a job that got no further than the one before, until the run counts as failed."""


class LoggerConfig(Section):
    """conf/logger; not identity."""

    name: Literal["none", "wandb"]
    """none: metrics.jsonl in the run's folder is the log; wandb: a view of it."""
    project: str | None = None
    """The project of wandb."""
    entity: str | None = None
    """The account of wandb; null: your default."""
    mode: Literal["offline", "online"] | None = None
    """offline: kept below the run's folder, to be sent by wandb sync; online."""


class RunConfig(Section):
    """Everything one run reads. `active()` is its scientific part."""

    task: Annotated[Task[Any], Chosen.of(TASKS)]
    model: ModelConfig
    language_adapters: Mapping[str, str | None]
    """Origin of each language's adapter: world, hub:…, run:…, folder:…, train or null (conf/language_adapters)."""
    adapter: Annotated[Tuning, Chosen.of(TUNINGS)]
    schedule: Annotated[Schedule, Chosen("schedule", SCHEDULES)]
    fisher: Annotated[Estimator, Chosen.of(FISHERS)]
    regularizer: Annotated[MethodChoice, Chosen.of(REGULARIZERS)]
    mask: Annotated[MethodChoice, Chosen.of(MASKS)]
    data_size: DataSizeConfig
    train: TrainConfig
    data: DataConfig
    precision: Literal["fp32", "bf16", "fp16"]
    """fp32, or autocast to bf16 or fp16; fp16 needs a GPU."""
    lang: str | None
    """The language of the text to read; task=mlm and task=fisher only."""
    seed: int = Field(ge=0)
    """What all randomness is derived from."""
    paper: str
    """Whose values fill what nobody typed."""
    setting: int | None = Field(ge=1)
    """Which of the paper's settings its values are looked up for; null: it has but one."""
    evaluate: EvaluateConfig
    keep: Literal["weights", "predictions"] | None
    """Of a done run. predictions: its weights go once all that is asked for is evaluated; null: weights."""
    track: TrackConfig
    checkpoint: CheckpointConfig
    logger: LoggerConfig
    device: Literal["auto", "cpu", "cuda"]
    """auto: a GPU if there is one."""
    threads: int = Field(ge=1)
    """CPU threads; run two runs side by side before giving one of them two."""
    dry_run: bool
    """Print the run as JSON, train nothing."""
    force: bool
    """Run a finished run again; its old record stays until the new one is final."""
    retry: bool
    """Run a run again that failed because of its method."""
    looked_up: Mapping[str, str] = Field(exclude=True)
    """Field that nobody typed -> where its value comes from."""

    SOURCE_LANGUAGE: ClassVar[str] = "en"

    @property
    def training_language(self) -> str:
        """The language of the training and validation data."""
        return self.lang or self.SOURCE_LANGUAGE

    @property
    def layers(self) -> int:
        """The layers that the schedule opens and closes: the encoder's, or none where nothing trains by layer."""
        return self.model.layers if self.adapter.layered and self.task.trains else 0

    def active(self) -> dict[str, Any]:
        """The scientific fields in use, nested; a field of a component that is not in use is absent."""
        model = self.model.model_dump(include={"name", "source", "revision"}, exclude_none=True)
        if model["source"].startswith("folder:"):  # is told by its name, wherever it lies
            model["source"] = f"folder:{Path(self.model.source.removeprefix('folder:')).name}"
        if self.task.classifies:
            model |= self.model.model_dump(include={"pooler", "head_layers"})
        active: dict[str, Any] = {
            "task": active_fields(self.task),
            "model": model,
            "adapter": active_fields(self.adapter),
            "schedule": active_fields(self.schedule),
            **({"train": self.train.model_dump(exclude_none=True)} if self.task.trains else {}),
            "precision": self.precision,
            "seed": self.seed,
        }
        if self.schedule.chooses_by_scores:
            active["fisher"] = active_fields(self.fisher)
        if self.regularizer.name != "none":
            active["regularizer"] = active_fields(self.regularizer)
        if self.mask.name != "none":
            active["mask"] = active_fields(self.mask)
        if self.lang is not None:
            active["lang"] = self.lang
        if self.data.nonstandard:
            active["data"] = {"nonstandard": True}
        if self.data_size.examples is not None:
            active["data_size"] = self.data_size.model_dump(include={"examples", "subset"})
        return active

    @property
    def marks(self) -> list[str]:
        """What its record is marked as, and so kept out of the papers' tables."""
        return ["nonstandard"] if self.data.nonstandard else []

    @property
    def label(self) -> str:
        """The run's name for people."""
        if self.lang is not None:
            return f"{self.lang}-s{self.seed}"
        k = f"-k{self.schedule.k}" if hasattr(self.schedule, "k") else ""
        methods = "".join(f"-{choice.label}" for choice in (self.regularizer, self.mask) if choice.label)
        return f"{self.adapter.name}-{self.schedule.name}{k}{methods}-{self.data_size.name}-s{self.seed}"


def all_fields() -> list[str]:
    """Every field that a configuration may have, with one choice or another, as it is typed."""
    fields = []
    for section, declared in RunConfig.model_fields.items():
        chosen = [each for each in declared.metadata if isinstance(each, Chosen)]
        names = [name for each in chosen for kind in each.classes.values() for name in field_names(kind)]
        if isinstance(declared.annotation, type) and issubclass(declared.annotation, Section):
            names = list(declared.annotation.model_fields)
        fields += [section, *(f"{section}.{name}" for name in names)]
    return list(dict.fromkeys(fields))


def ours(config: RunConfig) -> dict[str, str]:
    """Field -> reason, for every looked-up value of this run that no source gives."""
    return {field: told.removeprefix(OURS) for field, told in config.looked_up.items() if told.startswith(OURS)}


def results_root() -> Path:
    """`$FUN_RESULTS`, else `results` under the current directory. Raises ConfigError as `checked_root`."""
    typed = os.environ.get("FUN_RESULTS")
    root = Path(typed or "results").expanduser().absolute()
    return checked_root(root, "FUN_RESULTS" if typed else "the results root", "export FUN_RESULTS=FOLDER")


def checked_root(root: Path, name: str, cure: str) -> Path:
    """The results root that `name` gives, which need not exist yet. Raises ConfigError where it is no folder.

    `cure`: what to type to name another.
    """
    try:
        if stat.S_ISDIR(root.stat().st_mode):
            return root
        problem = "not a folder"
    except FileNotFoundError:  # made when something is to be written there, and not by who only reads
        return root
    except OSError as error:
        problem = f"cannot be reached ({error.strerror})"
    raise ConfigError(f"{name} is {root}: {problem}: type {cure}")
