"""`python -m reproduce report`: one HTML page of all that is reproduced so far."""

import argparse

from reproduce.commands import options
from reproduce.commands.command import Command, Targets


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument("--model", help="the miniature's page instead of the paper's, for example micro")
    options.add_reading(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    # matplotlib and scipy take a second to import; --help does without
    from reproduce.show.page.material import gather
    from reproduce.show.page.page import build

    page = build(gather(typed.model, known, options.store(typed)))
    folder = options.out(typed) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (f"{typed.model}.html" if typed.model else "fun.html")
    file.write_text(page, encoding="utf-8")
    print(f"wrote {file}: open it in a browser")
    return 0


COMMAND = Command("report", "write one HTML page of what is reproduced so far", _add_arguments, _run)
