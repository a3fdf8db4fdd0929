"""What a command of `python -m reproduce` is."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reproduce.declare.papers import Target

Targets = Mapping[str, Target]
"""Every target of every paper, by name."""


@dataclass(frozen=True)
class Command:
    """A command: `add_arguments` says what may be typed after its name, `run` does it.

    `run` gets what was typed and all targets, and returns the exit status. A FunError that it raises is told
    in one line; where it is a ConfigError, as mistyped. What is slow to import is imported inside `run`.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser, Targets], None]
    run: Callable[[argparse.Namespace, Targets], int]
