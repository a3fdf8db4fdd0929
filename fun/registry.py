"""Registries: what a Hydra group may name. A choice is a frozen dataclass under the name of its yaml.

A choice is free of torch: its fields are its configuration, and what it builds is imported when it is built. A new
one is a module of its room and a yaml; nothing else names it.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from fun.config import RunConfig

C = TypeVar("C", bound=type)


class Choice:
    """What every choice is asked."""

    name: ClassVar[str] = ""
    """What it is registered under."""

    def check(self, config: "RunConfig") -> None:
        """Raise ConfigError, with the remedy, for fields that do not fit together or not to the run."""


class Registry(dict[str, type[Any]]):
    """The choices of one group of conf/. A yaml names its class by its field `by`, which the class bears too."""

    def __init__(self, group: str, by: str = "name") -> None:
        super().__init__()
        self.group, self.by = group, by

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator: make a choice known under `name`."""

        def add(choice: C) -> C:
            if name in self:
                raise ValueError(f"{self.group}={name} is registered twice: {self[name]} and {choice}")
            setattr(choice, self.by, name)
            self[name] = choice
            return choice

        return add


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that what it registers is known; its `__init__` calls this last."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")
