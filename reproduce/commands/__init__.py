"""The commands of `python -m reproduce`, a file per room. A new one is a function there, under `@command`."""

from reproduce.commands import show, runs, start, numbers, carry  # noqa: I001 -- in the order of --help
from reproduce.commands.options import COMMANDS
