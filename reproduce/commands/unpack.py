"""`python -m reproduce unpack FILE --out FOLDER`: verify an archive, and lay it out as a results root."""

import argparse
from pathlib import Path

from reproduce.carry import archive
from reproduce.commands.command import Command, Targets


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="what the archive command wrote")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="the results root to make")


def _run(typed: argparse.Namespace, known: Targets) -> int:
    manifest = archive.unpack(typed.file.absolute(), typed.out.absolute())
    print(f"{len(manifest.files)} files of {manifest.target}, all as their records list them, are in {typed.out}")
    return 0


COMMAND = Command("unpack", "verify an archive and lay it out as a results root", _add_arguments, _run)
