"""The downstream tasks: how rows become tokens, which head reads them, and how its output is scored."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fun.errors import ConfigError

if TYPE_CHECKING:
    from fun.tasks.base import Task

_CLASSES = {
    "squad": ("qa", "SquadTask"),
    "mnli": ("classification", "MnliTask"),
    "copa": ("choice", "CopaTask"),
    "mlm": ("mlm", "MlmTask"),
}
NAMES = tuple(_CLASSES)


def get(name: str, **settings: Any) -> "Task":
    """The task `name` with its settings (the fields of its class); raises ConfigError for an unknown name.

    Its module is imported here, so that the names alone cost no torch.
    """
    if name not in _CLASSES:
        raise ConfigError(f"task: found {name!r}, expected one of {', '.join(NAMES)}; type task={NAMES[0]}")
    module, kind = _CLASSES[name]
    task: Task = getattr(import_module(f"fun.tasks.{module}"), kind)(**settings)
    return task
