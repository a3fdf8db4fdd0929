"""The commands of `python -m reproduce`, a file per room. A new one is a `Command` in its room's `COMMANDS`."""

from reproduce.commands import carry, numbers, runs, show, start
from reproduce.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    *show.COMMANDS,
    *runs.COMMANDS,
    *start.COMMANDS,
    *numbers.COMMANDS,
    *carry.COMMANDS,
)

__all__ = ["COMMANDS", "Command"]
