"""The command line of the reproduction: `python -m reproduce --help`."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from fun.config import results_root
from fun.errors import ConfigError, FunError
from reproduce import cells, papers, published
from reproduce.papers import Figures, Target
from reproduce.plan import Lookup, Store, found, missing, needed_runs, sweeps
from reproduce.run import run_missing
from reproduce.table import WIDTH, to_csv, to_latex, to_text

EPILOG = """examples:
  python -m reproduce table table1                  Table 1 from the runs that are done
  python -m reproduce table table1 --model micro    the same table on the miniature world
  python -m reproduce run table1 --model micro      run what it still needs, here
  python -m reproduce figure trace demo             tr(F) over training
"""


class Parser(argparse.ArgumentParser):
    """argparse that tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 where something went wrong, 2 where it was mistyped."""
    try:
        known = papers.targets()
        typed = _parser(known).parse_args(arguments)
        target = papers.find(typed.target, typed.model, known)
        root = typed.results or results_root()
        if typed.command == "run":
            return _run(target, root, typed.jobs, typed.dry_run)
        lookup, out = Store(root, typed.allow_marked), typed.out or root
        if typed.command == "figure":
            return _figure(typed.kind, target, lookup, out)
        return _table(target, lookup, out)
    except FunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser(known: Mapping[str, Target]) -> Parser:
    parser = Parser(
        prog="python -m reproduce",
        description="Tables and figures of the papers, from finished runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shared = Parser(add_help=False)
    shared.add_argument("--model", help="the target's variant for this model, for example micro")
    shared.add_argument("--results", type=_folder, help="results root (default: $FUN_RESULTS, else ./results)")
    reading = Parser(add_help=False, parents=[shared])
    reading.add_argument("--out", type=_folder, help="where tables/ and figures/ go (default: the results root)")
    reading.add_argument(
        "--allow-marked",
        action="store_true",
        help="count records marked synthetic or nonstandard: tests only",
    )

    table = commands.add_parser("table", parents=[reading], help="print a target's table; write it as CSV and LaTeX")
    run = commands.add_parser("run", parents=[shared], help="run what a target still needs, on this machine")
    run.add_argument(
        "--jobs",
        type=_positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        help="runs side by side (default: one per core)",
    )
    run.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    figure = commands.add_parser("figure", parents=[reading], help="draw a target's figure as PNG and PDF")
    figure.add_argument(
        "kind", metavar="KIND", choices=list(Figures.model_fields), help=" or ".join(Figures.model_fields)
    )
    for command in (table, run, figure):
        command.add_argument("target", metavar="TARGET", help=f"one of {', '.join(known)}")
    return parser


def _table(target: Target, lookup: Lookup, out: Path) -> int:
    needed = needed_runs(target)
    results = found(needed, lookup)
    grid = cells.fill(target, results, published.load(target.paper))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(to_text(grid))
    absent = missing(needed, results)
    if absent:
        startable = [run.arguments for run in needed if results[run.overrides].startable]
        _print_missing(target, absent, startable)
    for suffix, text in (("csv", to_csv(grid)), ("tex", to_latex(grid))):
        path = out / "tables" / target.paper.name / f"{target.name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _print_missing(target: Target, absent: list[str], startable: list[tuple[str, ...]]) -> None:
    """To standard output and unwrapped, so that every line can be pasted."""
    print("Missing runs, one command each:", *absent, sep="\n")
    if startable:
        print(f"\nAll that can be started, on this machine: python -m reproduce run {target.name}")
        print("The same as sweeps:", *sweeps(startable), sep="\n")
    else:
        print("\nNone of them can be started by this version now; the comments above say why.")
    print()


def _figure(kind: str, target: Target, lookup: Lookup, out: Path) -> int:
    from reproduce import figures  # matplotlib takes a second to import; tables and --help do without

    results = found(needed_runs(target), lookup)
    for path in figures.draw(kind, target, results, out / "figures" / target.paper.name):
        print(f"wrote {path}")
    return 0


def _run(target: Target, root: Path, jobs: int, dry_run: bool) -> int:
    # A terminated run command must stop its children too, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return 1 if run_missing(target, Store(root), root, jobs, dry_run) else 0


def _folder(text: str) -> Path:
    return Path(text).absolute()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
