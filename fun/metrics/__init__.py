"""Metrics as `evaluate.Metric` modules, one folder each, which `evaluate.load("<folder>")` loads offline."""

import uuid
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import evaluate


def qa_metrics(dataset: str, language: str) -> dict[str, "evaluate.Metric"]:
    """The metrics that score extracted answers, by what is appended to the names f1 and em.

    By character for Chinese, by word elsewhere, whatever the data set; MLQA's own metric stands beside that.
    """
    reported = {"": load("squad", "zh" if language == "zh" else "v1")}
    return reported | {"_mlqa": load("squad", f"mlqa-{language}")} if dataset.startswith("mlqa") else reported


def load(name: str, configuration: str | None = None) -> "evaluate.Metric":
    """The metric of the folder `name`, ready to `compute`. The class is imported where it lies.

    `evaluate.load` gives the same one but copies the file into a cache that all processes of a user share, and keeps
    its inputs there under one experiment id: here both stay in memory, so any number of runs may score side by side.
    """
    module = import_module(f"fun.metrics.{name}.{name}")
    with TemporaryDirectory() as folder:  # the constructor makes folders there, which nothing in memory uses
        metric: evaluate.Metric = getattr(module, name.title().replace("_", ""))(
            config_name=configuration, keep_in_memory=True, experiment_id=uuid.uuid4().hex, cache_dir=folder
        )
    return metric
