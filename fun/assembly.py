"""From the typed configuration to the objects it describes. The only place where choices become classes."""

from fun.config import results_root
from fun.config.schema import RunConfig
from fun.models.encoders import check_encoder
from fun.models.task_model import TaskModel
from fun.training.randomness import derive


def build_model(config: RunConfig) -> TaskModel:
    """The encoder with what trains on it. Raises ConfigError where it is not what conf/model says."""
    model = TaskModel(
        config.model.source,
        config.adapter,
        config.task.head(layers=config.model.head_layers, pooler=config.model.pooler),
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
