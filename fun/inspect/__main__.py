"""`python -m fun.inspect task=squad lang=th model=xlmr`: look at examples as the model will see them; train nothing."""

import argparse
import sys

from rich.console import Console

from fun.errors import FunError, tell
from fun.inspect import request

WIDTH = 100

USAGE = "python -m fun.inspect [group=choice] [key=value] ..."
OPTIONS = """What is typed is what python -m fun.run takes, and:
  lang=th       the language to look at (default: the training language; for task=mlm as in fun.run)
  dataset=mlqa  the data set (default: the task's first that has the language)
  split=train   train, validation or test (default: test)
  first=100     the first example to show (default: 0)
  n=3           how many to show (default: 3)

examples:
  python -m fun.inspect task=squad lang=th model=xlmr
  python -m fun.inspect task=mnli lang=l3 split=test n=1
  python -m fun.inspect task=squad lang=hi model=mbert data.root=DIR data.nonstandard=true
"""


def main(arguments: list[str] | None = None) -> int:
    """Show what was asked for; the exit status is 0, 1 where something went wrong, 2 where it was mistyped."""
    parser = argparse.ArgumentParser(
        prog="python -m fun.inspect",
        usage=USAGE,
        description="A few examples as the model will see them: tokens, windows, answers, what is cut off.",
        epilog=OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("typed", nargs="*", help=argparse.SUPPRESS)
    try:
        wanted = request(parser.parse_args(arguments).typed)
        # torch and transformers take seconds to import; --help and mistakes should not wait for them.
        from fun.inspect.rendering import render
        from fun.inspect.report import report

        console = Console(highlight=False, soft_wrap=True)
        width = min(WIDTH, console.width) if console.is_terminal else WIDTH
        for line in render(report(wanted), width):
            console.print(line)
    except FunError as error:
        return tell(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
