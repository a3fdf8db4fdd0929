"""The command that shows where a number comes from: `explain`."""

import argparse
import sys

from rich.console import Console

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.declare.tables import Table
from reproduce.numbers import cells
from reproduce.runs.store import results_of
from reproduce.show.text import WIDTH


def _explain_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    for name, text in (
        ("panel", "a panel of the table, for example mbert"),
        ("row", "a row, for example gu"),
        ("dataset", "a data set, for example xquad"),
        ("column", "a column: source, lowest, average (or avg), or a language"),
    ):
        parser.add_argument(name, metavar=name.upper(), help=text)
    parser.add_argument("metric", metavar="METRIC", nargs="?", help="one metric (default: all of the cell's)")
    options.add_results(parser)
    parser.add_argument(
        "--allow-marked", action="store_true", help="count records marked synthetic or nonstandard: tests only"
    )


def _explain(typed: argparse.Namespace, known: Targets) -> int:
    from reproduce.numbers.explain import places
    from reproduce.numbers.verdicts import verdicts
    from reproduce.show import explain

    target = options.target(typed, known)
    if not isinstance(target, Table):
        tables = (name for name, other in known.items() if isinstance(other, Table))
        raise ConfigError(f"'{target.name}' is not a table of results; those are {', '.join(tables)}.")
    names = (typed.panel, typed.row, typed.dataset, typed.column, *filter(None, [typed.metric]))
    explained = places(target, names)
    results = results_of(target.needed(), options.store(typed))
    grid = cells.fill(target, results)
    judged = verdicts(grid)
    # Lines to paste must not be wrapped.
    console = Console(width=None if sys.stdout.isatty() else WIDTH, soft_wrap=True, highlight=False)
    for place in explained:
        console.print(explain.to_text(grid, results, judged.get(place), place, options.root(typed)))
    return 0


COMMANDS = (Command("explain", "list the runs behind a number of a table", _explain_arguments, _explain),)
