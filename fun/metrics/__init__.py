"""Metrics as `evaluate.Metric` modules, one folder each, which `evaluate.load("<folder>")` loads offline."""

import uuid
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fun.errors import ConfigError

if TYPE_CHECKING:
    import evaluate

_CLASSES = {"accuracy": "Accuracy", "mlqa": "Mlqa", "squad_v1": "SquadV1", "squad_zh": "SquadZh"}


def qa_metric(language: str) -> str:
    """Name of the metric that scores extracted answers: by character for Chinese, by word elsewhere."""
    return "squad_zh" if language == "zh" else "squad_v1"


def qa_metrics(dataset: str, language: str) -> dict[str, "evaluate.Metric"]:
    """The metrics that score extracted answers, by what is appended to the names f1 and em.

    MLQA's own metric stands beside the one that the paper reports, which is the same for every data set.
    """
    reported = {"": load(qa_metric(language))}
    return reported | {"_mlqa": load("mlqa", language)} if dataset == "mlqa" else reported


def load(name: str, language: str | None = None) -> "evaluate.Metric":
    """The metric `name`, ready to `compute`; raises ConfigError for an unknown name.

    `language` is for a metric whose configuration it is, and ignored by others.

    The class is imported where it lies. `evaluate.load` gives the same one but copies the file into a cache
    that all processes of a user share, and keeps its inputs there under one experiment id: here both stay in
    memory, so any number of runs may score side by side, and the cache need not be writable.
    """
    if name not in _CLASSES:
        raise ConfigError(f"metric: found {name!r}, expected one of {', '.join(_CLASSES)}")
    module = import_module(f"fun.metrics.{name}.{name}")
    with TemporaryDirectory() as folder:  # the constructor makes folders there, which nothing in memory uses
        metric: evaluate.Metric = getattr(module, _CLASSES[name])(
            config_name=language, keep_in_memory=True, experiment_id=uuid.uuid4().hex, cache_dir=folder
        )
    return metric
