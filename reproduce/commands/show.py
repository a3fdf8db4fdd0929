"""Commands that show results: `table`, `tables`, `figure` and `report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.options import Targets, command, console, option
from reproduce.declare.figures import Figure
from reproduce.declare.papers import ANCHOR, Target
from reproduce.declare.parts import Needed, merged
from reproduce.runs.store import Results, Store, missing, results_of, sweeps, with_producers
from reproduce.show import latex
from reproduce.show.text import placed, to_csv, to_markdown, to_text
from reproduce.show.view import View, view


@command(
    "table",
    "print a target's table; write it as CSV and LaTeX",
    *options.ONE,
    *options.READING,
    option(
        "--into",
        type=options.folder,
        metavar="FILE",
        help="write it as Markdown instead, between the lines <!-- TARGET --> and <!-- /TARGET --> of this file",
    ),
)
def table(typed: argparse.Namespace, declared: Targets) -> int:
    target = options.target(typed, declared)
    if isinstance(target, Figure):
        raise ConfigError(f"'{target.name}' is a figure: type python -m reproduce figure {target.name}.")
    store = options.store(typed)
    results = results_of(target.needed(), store)
    filled = view(target, results)
    console().print(to_text(filled))
    if target.note:
        console().print(f"{target.note}\n", markup=False, highlight=False)
    print_missing(target, results, store)
    for path in _place(filled, target, typed.into) if typed.into else write(filled, target, options.out(typed)):
        print(f"wrote {path}")
    return 0


def _place(table: View, target: Target, file: Path) -> list[Path]:
    """Write a table, with the target's note, into a Markdown file, and return that. Raises ConfigError."""
    if not file.is_file():
        raise ConfigError(f"found --into {file}, which is no file; expected one in Markdown.")
    text = "\n\n".join(filter(None, [to_markdown(table), target.note]))
    file.write_text(placed(file.read_text(encoding="utf-8"), target.name, text), encoding="utf-8")
    return [file]


def write(table: View, target: Target, out: Path) -> list[Path]:
    """Write a table as CSV and LaTeX below `out`, and return the files."""
    folder = out / "tables" / target.paper.name
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / f"{target.stem}.csv": to_csv(table), folder / f"{target.stem}.tex": latex.to_latex(table)}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def print_missing(target: Target, results: Results, store: Store) -> None:
    """To standard output and unwrapped, so that every line can be pasted."""
    lines, startable = _missing(target.needed(), results, store)
    if lines:
        print("Missing runs, one command each:", *lines, sep="\n")
    if startable:
        print(f"\nAll that can be started, on this machine: python -m reproduce run {target.name}")
        print("The same as sweeps:", *startable, "", sep="\n")
    elif lines:
        print("\nNone of them is started unasked; the comments above say why.\n")


def _missing(needed: Sequence[Needed], results: Results, store: Store) -> tuple[list[str], list[str]]:
    """What has to be run, behind what it reads: a command each, with why; and as sweeps what can be started."""
    runs = with_producers(needed, results)
    results = {**results_of((run for run in runs if run.overrides not in results), store), **results}
    startable = [run.arguments for run in runs if results[run.overrides].startable]
    return missing(runs, results), sweeps(startable)


@command(
    "tables",
    "write every table of a paper as CSV and LaTeX",
    *options.of_paper(default=ANCHOR, help=f"whose (default: {ANCHOR})"),
    *options.READING,
)
def tables(typed: argparse.Namespace, declared: Targets) -> int:
    numbered = options.numbered(typed.paper, typed.model, declared)
    targets = [target for target in numbered if not isinstance(target, Figure)]
    if not targets:
        variant = f" has a variant for model '{typed.model}'" if typed.model else " has a number in its name"
        raise ConfigError(f"no table of '{typed.paper}'{variant}.")
    targets.sort(key=lambda target: int("".join(filter(str.isdigit, target.stem.partition("-")[0]))))
    # Tables share runs: each is looked up once, with all that any of the tables needs of it.
    needed = merged(run for target in targets for run in target.needed())
    store, out = options.store(typed), options.out(typed)
    results = results_of(needed, store)
    folder = out / "tables" / typed.paper
    for target in targets:
        filled = view(target, results)
        files = ", ".join(path.name for path in write(filled, target, out))
        print(f"{target.name}: {filled.summary}; {files}")
    document = folder / (f"tables-{typed.model}.tex" if typed.model else "tables.tex")
    document.write_text(latex.document([target.stem for target in targets]), encoding="utf-8")
    lines, startable = _missing(needed, results, store)
    (folder / "missing.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if lines:
        count = sum(not line.startswith("#") for line in lines)
        print(f"{count} runs are missing; the command of each, and why: {folder / 'missing.txt'}")
    if startable:
        print("Those that can be started, as sweeps:", *startable, sep="\n")
    print(f"all of them in one LaTeX document: {document}")
    return 0


@command("figure", "draw a figure as PNG and PDF", *options.ONE, *options.READING)
def figure(typed: argparse.Namespace, declared: Targets) -> int:
    # matplotlib takes a second to import; tables and --help do without
    from reproduce.show.figures import drawing

    target = options.target(typed, declared)
    if not isinstance(target, Figure):
        raise ConfigError(f"'{target.name}' is not a figure: type python -m reproduce table {target.name}.")
    store = options.store(typed)
    results = results_of(target.needed(), store)
    print_missing(target, results, store)
    folder = options.out(typed) / "figures" / target.paper.name
    for path in drawing.write(target, results, folder):
        print(f"wrote {path}")
    return 0


@command(
    "report",
    "write a page for each paper of what is reproduced so far",
    *options.of_paper(help="whose (default: every paper's)"),
    *options.READING,
)
def report(typed: argparse.Namespace, declared: Targets) -> int:
    # matplotlib and scipy take a second to import; --help does without
    from reproduce.show.page import page

    papers = {target.paper.name: target.paper for target in declared.values()}
    name = ANCHOR if typed.model and not typed.paper else typed.paper
    chosen = [papers[name]] if name else [*papers.values()]
    folder = options.out(typed) / "report"
    *pages, index = page.write([*papers.values()], chosen, typed.model, options.store(typed), folder)
    print(*(f"wrote {file}" for file in pages), f"wrote {index}: open it in a browser", sep="\n")
    return 0
