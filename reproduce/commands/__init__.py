"""The commands of `python -m reproduce`, a file per room. A new one is a `Command` in its room's `COMMANDS`."""

from reproduce.commands import archive, explain, figure, merge, prefetch, preflight, report, runs, start, table, tables
from reproduce.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    table.COMMAND,
    tables.COMMAND,
    figure.COMMAND,
    *runs.COMMANDS,
    *start.COMMANDS,
    explain.COMMAND,
    report.COMMAND,
    preflight.COMMAND,
    prefetch.COMMAND,
    archive.COMMAND,
    merge.COMMAND,
)

__all__ = ["COMMANDS", "Command"]
