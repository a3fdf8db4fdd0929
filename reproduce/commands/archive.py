"""`python -m reproduce archive TARGET`: pack a target's records, configurations and predictions into one file."""

import argparse
from pathlib import Path

from fun.results import file_checksum
from reproduce.carry import archive
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import found, needed_runs


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_results(parser)
    parser.add_argument("--weights", action="store_true", help="pack adapters and heads too")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: archives/TARGET.tar.gz in the results root")
    parser.add_argument(
        "--allow-marked", action="store_true", help="pack records marked synthetic or nonstandard: tests only"
    )


def _run(typed: argparse.Namespace, known: Targets) -> int:
    target, root = options.target(typed, known), options.root(typed)
    out = typed.out or root / "archives" / f"{target.stem}.tar.gz"
    manifest = archive.pack(target, found(needed_runs(target), options.store(typed)), root, out, weights=typed.weights)
    if missing := manifest["missing"]:
        print(f"{len(missing)} of {len(needed_runs(target))} runs are missing; the manifest lists them")
    print(f"wrote {out}: {len(manifest['files'])} files, {out.stat().st_size / 1e6:.1f} MB, {file_checksum(out)}")
    print("to rebuild from it alone:", *manifest["rebuild"], sep="\n")
    return 0


COMMAND = Command("archive", "pack what a target is made from into one file", _add_arguments, _run)
