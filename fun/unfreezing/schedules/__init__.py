"""Unfreezing schedules as pure functions of the moment. A module here and a yaml of conf/schedule are a new one."""

from importlib import import_module
from pkgutil import iter_modules

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")
