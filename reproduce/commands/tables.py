"""`python -m reproduce tables`: write every table of a paper as CSV and LaTeX, and a document of them all."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.table import write
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Target
from reproduce.declare.parts import Needed, merged
from reproduce.runs.store import Results, found, missing, needed_runs, sweeps
from reproduce.show import latex
from reproduce.show.view import view


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    papers = list(dict.fromkeys(target.paper.name for target in known.values()))
    parser.add_argument("paper", nargs="?", default=papers[0], choices=papers, help=f"whose (default: {papers[0]})")
    parser.add_argument("--model", help="the tables' variants for this model, for example micro")
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    targets = _chosen(known, typed.paper, typed.model)
    # Tables share runs: each is looked up once, with all that any of the tables needs of it.
    needed = merged(run for target in targets for run in needed_runs(target))
    results = found(needed, options.store(typed))
    folder = options.out(typed) / "tables" / typed.paper
    for target in targets:
        table = view(target, results)
        files = ", ".join(path.name for path in write(table, target, options.out(typed)))
        print(f"{target.name}: {table.summary}; {files}")
    document = folder / (f"tables-{typed.model}.tex" if typed.model else "tables.tex")
    document.write_text(latex.document([target.stem for target in targets]), encoding="utf-8")
    _tell_missing(needed, results, folder / "missing.txt")
    print(f"all of them in one LaTeX document: {document}")
    return 0


def _chosen(known: Targets, paper: str, model: str | None) -> Sequence[Target]:
    """A paper's numbered tables in their order; for a model their variants.

    Raises ConfigError where there is none.
    """
    tables = [t for t in options.numbered(paper, model, known) if not isinstance(t, Figure)]
    if not tables:
        variant = f" has a variant for model '{model}'" if model else " has a number in its name, such as table1"
        raise ConfigError(f"no table of '{paper}'{variant}.")
    return sorted(tables, key=_number)


def _number(target: Target) -> tuple[int, str]:
    """Table 2 before Table 10."""
    digits = "".join(filter(str.isdigit, target.stem))
    return int(digits or 0), target.stem


def _tell_missing(needed: Sequence[Needed], results: Results, file: Path) -> None:
    """Each missing run's command into `file`; to standard output only those that can be started, as sweeps."""
    lines = missing(needed, results)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not lines:
        return
    startable = [run.arguments for run in needed if results[run.overrides].startable]
    count = sum(not line.startswith("#") for line in lines)
    print(f"{count} of {len(needed)} runs are missing; the command of each, and why: {file}")
    if startable:
        print("Those that can be started, as sweeps:", *sweeps(startable), sep="\n")


COMMAND = Command("tables", "write every table of a paper as CSV and LaTeX", _add_arguments, _run)
