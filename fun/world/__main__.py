"""`python -m fun.world build | check | show`."""

import argparse
import json
import sys
from pathlib import Path

from fun.errors import FunError
from fun.world import LANGUAGES, TASKS, UNSEEN, building, load_split
from fun.world.manifest import ASSETS, manifest
from fun.world.splits import SPLITS


def _check() -> str:
    if wrong := building.differences():
        raise FunError(
            f"not as the manifest says: {', '.join(wrong)}; restore these files, or type python -m fun.world build"
        )
    return f"as the manifest says: {len(manifest()['splits'])} splits, the encoder, {len(LANGUAGES)} adapters"


def main() -> int:
    """Run one command; a user's error ends in one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m fun.world", description="The miniature world.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    build = commands.add_parser("build", help="make everything from one seed (20 to 30 minutes)")
    build.add_argument("--out", type=Path, default=ASSETS)
    build.add_argument("--seed", type=int, default=0)
    commands.add_parser("check", help="compare what is installed with the manifest")
    show = commands.add_parser("show", help="print the first items of a split")
    show.add_argument("--task", choices=TASKS, required=True)
    show.add_argument("--language", choices=(*LANGUAGES, *UNSEEN), required=True)
    show.add_argument("--split", choices=SPLITS, default="test")
    show.add_argument("-n", type=int, default=3)
    options = parser.parse_args()
    try:
        if options.command == "build":
            building.build(options.out, options.seed)
            print(f"built in {options.out}")
        elif options.command == "check":
            print(_check())
        else:
            for row in load_split(options.task, options.language, options.split)[: options.n]:
                print(json.dumps(row, indent=1, ensure_ascii=False))
    except FunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
