"""`python -m reproduce table TARGET`: print a target's table, and write it as CSV and LaTeX."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Target
from reproduce.runs.store import Results, found, missing, needed_runs, sweeps
from reproduce.show.latex import to_latex
from reproduce.show.spreadsheet import to_csv
from reproduce.show.text import WIDTH, to_text
from reproduce.show.view import View, view


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    target = options.target(typed, known)
    if isinstance(target, Figure):
        raise ConfigError(f"'{target.name}' is a figure: type python -m reproduce figure {target.name}.")
    results = found(needed_runs(target), options.store(typed))
    table = view(target, results)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(to_text(table))
    print_missing(target, results)
    for path in write(table, target, options.out(typed)):
        print(f"wrote {path}")
    return 0


def write(table: View, target: Target, out: Path) -> list[Path]:
    """Write a table as CSV and LaTeX below `out`, and return the files."""
    folder = out / "tables" / target.paper.name
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, text in (("csv", to_csv(table)), ("tex", to_latex(table))):
        paths.append(folder / f"{target.stem}.{suffix}")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def print_missing(target: Target, results: Results) -> None:
    """To standard output and unwrapped, so that every line can be pasted."""
    needed = needed_runs(target)
    absent = missing(needed, results)
    if not absent:
        return
    print("Missing runs, one command each:", *absent, sep="\n")
    startable = [run.arguments for run in needed if results[run.overrides].startable]
    if startable:
        print(f"\nAll that can be started, on this machine: python -m reproduce run {target.name}")
        print("The same as sweeps:", *sweeps(startable), sep="\n")
    else:
        print("\nNone of them is started unasked; the comments above say why.")
    print()


COMMAND = Command("table", "print a target's table; write it as CSV and LaTeX", _add_arguments, _run)
