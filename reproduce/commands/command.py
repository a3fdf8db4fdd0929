"""What a command of `python -m reproduce` is."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from reproduce.declare.papers import Target
from reproduce.show.text import WIDTH

Targets = Mapping[str, Target]
"""Every target of every paper, by name."""

Run = Callable[[argparse.Namespace, Targets], int]
"""Does a command: from what was typed and all targets to the exit status.

A FunError that it raises is told in one line; where it is a ConfigError, as mistyped. What is slow to import is
imported inside.
"""

Option = Callable[[argparse.ArgumentParser, Targets], Any]
"""Lets something be typed after a command's name."""


@dataclass(frozen=True)
class Command:
    """A command's line of help, what may be typed after its name, and what does it."""

    help: str
    options: tuple[Option, ...]
    run: Run


COMMANDS: dict[str, Command] = {}
"""Every command by its name, in the order in which `--help` lists them."""


def command(name: str, help: str, *options: Option) -> Callable[[Run], Run]:
    """Makes the decorated function the command `name`."""

    def register(run: Run) -> Run:
        COMMANDS[name] = Command(help, options, run)
        return run

    return register


def option(*names: str, **settings: Any) -> Option:
    """What argparse's `add_argument` takes; `help` and `choices` may be functions of the targets."""

    def add(parser: argparse.ArgumentParser, declared: Targets) -> None:
        told = {name: settings[name](declared) for name in ("help", "choices") if callable(settings.get(name))}
        parser.add_argument(*names, **settings | told)

    return add


def flag(name: str, help: str) -> Option:
    """An option without a value."""
    return option(name, action="store_true", help=help)


def console(**settings: Any) -> Console:
    """Standard output, as wide as the terminal; elsewhere as wide as a table needs."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, **settings)
