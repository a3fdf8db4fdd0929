"""The commands of `python -m reproduce`. A new one is a module here with a `COMMAND`, and a place in COMMANDS."""

from reproduce.commands import (
    archive,
    cancel,
    collect,
    explain,
    figure,
    merge,
    plan,
    prefetch,
    preflight,
    report,
    retry,
    run,
    select,
    status,
    submit,
    table,
    tables,
)
from reproduce.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    table.COMMAND,
    tables.COMMAND,
    figure.COMMAND,
    preflight.COMMAND,
    plan.COMMAND,
    prefetch.COMMAND,
    run.COMMAND,
    submit.COMMAND,
    status.COMMAND,
    retry.COMMAND,
    cancel.COMMAND,
    collect.COMMAND,
    merge.COMMAND,
    select.COMMAND,
    explain.COMMAND,
    report.COMMAND,
    archive.COMMAND,
)

__all__ = ["COMMANDS", "Command"]
