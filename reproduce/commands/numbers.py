"""The command that shows where a number comes from: `explain`."""

import argparse

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.options import Targets, command, console, option
from reproduce.declare.tables import Table
from reproduce.numbers import cells
from reproduce.numbers.explain import places
from reproduce.numbers.verdicts import verdicts
from reproduce.runs.store import results_of
from reproduce.show.explain import to_text


@command(
    "explain",
    "list the runs behind a number of a table",
    options.TARGET,
    option("panel", metavar="PANEL", help="a panel of the table, for example mbert"),
    option("row", metavar="ROW", help="a row, for example gu"),
    option("dataset", metavar="DATASET", help="a data set, for example xquad"),
    option("column", metavar="COLUMN", help="a column: source, lowest, average (or avg), or a language"),
    option("metric", metavar="METRIC", nargs="?", help="one metric (default: all of the cell's)"),
    options.MODEL,
    options.RESULTS,
    options.MARKED,
)
def explain(typed: argparse.Namespace, declared: Targets) -> int:
    target = options.target(typed, declared)
    if not isinstance(target, Table):
        tables = (name for name, other in declared.items() if isinstance(other, Table))
        raise ConfigError(f"'{target.name}' is not a table of results; those are {', '.join(tables)}.")
    names = (typed.panel, typed.row, typed.dataset, typed.column, *filter(None, [typed.metric]))
    explained = places(target, names)
    results = results_of(target.needed(), options.store(typed))
    grid = cells.fill(target, results)
    judged = verdicts(grid)
    # Lines to paste must not be wrapped.
    terminal = console(soft_wrap=True, highlight=False)
    for place in explained:
        terminal.print(to_text(grid, results, judged.get(place), place, options.root(typed)))
    return 0
