"""`python -m reproduce table TARGET`: print a target's table, and write it as CSV and LaTeX."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.declare import published
from reproduce.declare.papers import Target
from reproduce.declare.published import Published
from reproduce.numbers import cells
from reproduce.numbers import settings as filling
from reproduce.runs.store import Results, found, missing, needed_runs, sweeps
from reproduce.show import settings as rendering
from reproduce.show.table import WIDTH, to_csv, to_latex, to_text


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    target = options.target(typed, known)
    if target.name in target.paper.figures:
        raise ConfigError(f"'{target.name}' is a figure: type python -m reproduce figure {target.name}.")
    results = found(needed_runs(target), options.store(typed))
    shown = render(target, results, published.load(target.paper))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(shown.text)
    print_missing(target, results)
    for path in write(shown, target, options.out(typed)):
        print(f"wrote {path}")
    return 0


@dataclass(frozen=True)
class Rendered:
    """A table in each of its forms, and a word on how complete it is."""

    text: Group
    csv: str
    latex: str
    summary: str


def render(target: Target, results: Results, numbers: Published) -> Rendered:
    """A table of results or of settings, from what was found on disk."""
    if target.name in target.paper.settings:
        sheet = filling.fill(target, numbers)
        values = [cell for _, _, cells in sheet.rows for cell in cells if cell.printed]
        summary = f"{sum(not cell.differs for cell in values)} of {len(values)} values as printed"
        return Rendered(rendering.to_text(sheet), rendering.to_csv(sheet), rendering.to_latex(sheet), summary)
    grid = cells.fill(target, results, numbers)
    summary = f"{grid.complete} of {len(grid.cells)} numbers complete"
    return Rendered(to_text(grid), to_csv(grid), to_latex(grid), summary)


def write(shown: Rendered, target: Target, out: Path) -> list[Path]:
    """Write a table as CSV and LaTeX below `out`, and return the files."""
    folder = out / "tables" / target.paper.name
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, text in (("csv", shown.csv), ("tex", shown.latex)):
        paths.append(folder / f"{target.name}.{suffix}")
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
