"""From the typed configuration to the objects it describes. The only place where choices become classes."""

from typing import Any

from adapters import AdapterConfig

from fun import tasks
from fun.config import results_root
from fun.config.schema import (
    CopaConfig,
    FullConfig,
    LanguageConfig,
    LoraConfig,
    MadxConfig,
    MnliConfig,
    RunConfig,
)
from fun.models import tuning as adapters
from fun.models.encoders import check_encoder
from fun.models.heads import Head
from fun.models.task_model import TaskModel
from fun.tasks.base import Task
from fun.training.randomness import derive


def build_task(config: RunConfig) -> Task[Any]:
    """The task with its settings; the model says how its classification heads read the encoder."""
    settings = config.task.model_dump(exclude={"name", "validation_examples"})
    if isinstance(config.task, MnliConfig | CopaConfig):
        settings |= {"head_layers": config.model.head_layers, "use_pooler": config.model.pooler}
    return tasks.get(config.task.name, **settings)


def build_adapter(adapter: MadxConfig | LoraConfig | LanguageConfig | FullConfig) -> AdapterConfig | None:
    """The adapter to train, for the adapters library; None for full fine-tuning."""
    match adapter:
        case MadxConfig():
            return adapters.bottleneck(reduction=adapter.reduction, nonlinearity=adapter.nonlinearity)
        case LoraConfig():
            return adapters.lora(r=adapter.r, alpha=adapter.alpha)
        case LanguageConfig():
            return adapters.language(reduction=adapter.reduction, nonlinearity=adapter.nonlinearity)
        case FullConfig():
            return None


def build_model(config: RunConfig, head: Head) -> TaskModel:
    """The encoder with what trains on it. Raises ConfigError where it is not what conf/model says."""
    model = TaskModel(
        config.model.source,
        build_adapter(config.adapter),
        head,
        name=config.lang or config.task.name,
        language_adapters=config.language_adapters if config.uses_language_adapters else {},
        init_seed=derive(config.seed, "initialisation", 0),
        revision=config.model.revision,
        dropout=config.train.dropout,
        results=results_root(),
    )
    expected = config.model
    check_encoder(model.module, name=expected.name, layers=expected.layers, positions=expected.positions)
    return model
