"""Tasks as conf/task declares them, without a model to look their values up for."""

from typing import Any

import yaml

from fun.paths import CONFIG_DIR
from fun.tasks import TASKS, Task

LOOKED_UP = {
    "max_length": 64,
    "doc_stride": 16,
    "mask_padding": True,
    "pad_to_max_length": False,
    "validation_examples": 1,
    "world": None,
}
"""Stands for the fields that are null in conf/task."""


def task(name: str, **fields: Any) -> Task[Any]:
    values = yaml.safe_load((CONFIG_DIR / "task" / f"{name}.yaml").read_text(encoding="utf-8"))
    kind = TASKS[values.pop("kind")]
    values.pop("defaults", None)
    filled = {field: LOOKED_UP[field] if value is None else value for field, value in (values | fields).items()}
    made: Task[Any] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in filled.items()})
    return made
