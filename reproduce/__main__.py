"""The command line of the reproduction: `python -m reproduce --help`. Each command is a module of `commands`."""

import errno
import sys
from pathlib import Path

from fun.errors import FunError, tell, unread
from reproduce.commands import COMMANDS
from reproduce.commands.options import Parser
from reproduce.declare import papers

CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)
"""What a file system answers where a folder cannot be read or written."""


def main(arguments: list[str] | None = None, declarations: Path = papers.PAPERS) -> int:
    """Run one command; the exit status is 0, 1 where something went wrong, 2 where it was mistyped.

    `declarations` is the folder of the papers whose targets may be named.
    """
    try:
        declared = papers.targets(declarations)
        parser = Parser("python -m reproduce", description="Tables and figures of the papers, from finished runs.")
        parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for add in COMMANDS:
            add(parsers, declared)
        typed = parser.parse_args(arguments)
        return int(typed.run(typed, declared))
    except FunError as error:
        return tell(error)
    except BrokenPipeError:
        return unread()
    except OSError as error:
        if error.errno not in CLOSED or error.filename is None:
            raise
        print(
            f"error: {error.filename}: {error.strerror}: make room or get the permission there, or type --results "
            "FOLDER, or --out FOLDER where there is that option",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
