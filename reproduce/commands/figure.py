"""`python -m reproduce figure TARGET`: draw a figure as PNG and PDF."""

import argparse

from fun.errors import ConfigError
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.commands.table import print_missing
from reproduce.declare.figures import Figure


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    # matplotlib takes a second to import; tables and --help do without
    from reproduce.show.figures import drawing
    from reproduce.show.figures.rows import look_up

    target = options.target(typed, known)
    if not isinstance(target, Figure):
        raise ConfigError(f"'{target.name}' is not a figure: type python -m reproduce table {target.name}.")
    results = look_up(target.needed(), options.store(typed))
    print_missing(target, results)
    folder = options.out(typed) / "figures" / target.paper.name
    for path in drawing.write(target, results, folder):
        print(f"wrote {path}")
    return 0


COMMAND = Command("figure", "draw a figure as PNG and PDF", _add_arguments, _run)
