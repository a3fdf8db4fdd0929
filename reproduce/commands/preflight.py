"""`python -m reproduce preflight TARGET`: check every id, revision, file and column that a target needs."""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import configuration, needed_runs

if TYPE_CHECKING:
    from reproduce.carry.preflight.checks import Check

WIDTH = 160
"""Where the output is no terminal: ids are long."""

STYLES = {"ok": "green", "missing": "bold red", "differs": "bold yellow"}


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_results(parser)
    parser.add_argument("--json", action="store_true", help="print the same as one JSON object")


def _run(typed: argparse.Namespace, known: Targets) -> int:
    from reproduce.carry.preflight.checks import check
    from reproduce.carry.preflight.hub import Hub
    from reproduce.carry.preflight.inputs import inputs_of

    target = options.target(typed, known)
    configs = [configuration(run.overrides) for run in needed_runs(target)]
    if not configs:
        raise ConfigError(f"{target.name} is made from no runs: nothing is read for it")
    checks = check(inputs_of(configs, options.root(typed)), Hub())
    counts = {result: sum(found.result == result for found in checks) for result in STYLES}
    if typed.json:
        print(json.dumps({"target": target.name, "checks": [c._asdict() for c in checks], "counts": counts}, indent=2))
    else:
        _print(checks)
        print(f"{target.name}: {', '.join(f'{counts[result]} {result}' for result in STYLES)}")
    return 0 if counts["ok"] == len(checks) else 1


def _print(checks: Sequence["Check"]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "what", "id@revision", "expected", "found", "result"):
        table.add_column(name, overflow="fold")
    remedies: dict[str, list[str]] = defaultdict(list)
    for number, found in enumerate(checks, start=1):
        result = Text(found.result, style=STYLES[found.result])
        table.add_row(str(number), found.what, found.place, found.expected, found.found, result)
        if found.remedy:
            remedies[found.remedy].append(str(number))
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table)
    for remedy, numbers in remedies.items():
        # On a line by itself, and unwrapped: it may be a command to paste.
        console.print(Text(f"{', '.join(numbers)}:\n  {remedy}"), soft_wrap=True)


COMMAND = Command("preflight", "check on the hub what a target reads; download no weights", _add_arguments, _run)
