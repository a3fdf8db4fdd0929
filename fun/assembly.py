"""From the typed configuration to the objects it describes. The only place where choices become classes."""

from typing import Any

from adapters import AdapterConfig

from fun import tasks
from fun.config.schema import FisherConfig, LoraConfig, MadxConfig, RunConfig, SquadConfig
from fun.fisher import Algorithm2, Estimator, Exact, Official
from fun.models import adapters
from fun.tasks.base import Task
from fun.training.loop import Settings


def build_task(config: RunConfig) -> Task[Any]:
    """The task with its settings; the model says how its classification heads read the encoder."""
    settings = config.task.model_dump(exclude={"name"})
    if not isinstance(config.task, SquadConfig):
        settings |= {"head_layers": config.model.head_layers, "use_pooler": config.model.pooler}
    return tasks.get(config.task.name, **settings)


def build_adapter(adapter: MadxConfig | LoraConfig) -> AdapterConfig:
    """The task adapter for the adapters library."""
    if isinstance(adapter, MadxConfig):
        return adapters.bottleneck(reduction=adapter.reduction, nonlinearity=adapter.nonlinearity)
    return adapters.lora(r=adapter.r, alpha=adapter.alpha)


def build_estimator(fisher: FisherConfig) -> Estimator:
    """The estimator of tr(F)."""
    if fisher.name == "algorithm2":
        return Algorithm2(fisher.batches)
    if fisher.name == "official":
        return Official(fisher.batches)
    assert fisher.labels is not None
    return Exact(fisher.batches, fisher.labels)


def build_settings(config: RunConfig, updates: int, track_every: int) -> Settings:
    """What the training loop reads."""
    train = config.train
    return Settings(
        updates=updates,
        lr=train.lr,
        lr_schedule=train.lr_schedule,
        weight_decay=train.weight_decay,
        clip=train.clip,
        eval_every=train.eval_every,
        ties=train.ties,
        precision=config.precision,
        seed=config.seed,
        track_every=track_every,
        checkpoint_every=config.checkpoint.every,
        checkpoint_seconds=60 * config.checkpoint.minutes,
    )
