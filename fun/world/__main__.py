"""`python -m fun.world build | check | show | baselines`."""

import argparse
import json
import sys
from pathlib import Path

from fun.errors import FunError
from fun.world import LANGUAGES, TASKS, UNSEEN, baselines, building, load_split
from fun.world.manifest import ASSETS, manifest
from fun.world.splits import SPLITS


def _build(options: argparse.Namespace) -> None:
    building.build(options.out, options.seed)
    print(f"built in {options.out}")


def _check(options: argparse.Namespace) -> None:
    if wrong := building.differences():
        raise FunError(
            f"not as the manifest says: {', '.join(wrong)}; restore these files, or type python -m fun.world build"
        )
    print(f"as the manifest says: {len(manifest()['splits'])} splits, the encoder, {len(LANGUAGES)} adapters")


def _show(options: argparse.Namespace) -> None:
    for row in load_split(options.task, options.language, options.split)[: options.n]:
        print(json.dumps(row, indent=1, ensure_ascii=False))


def _baselines(options: argparse.Namespace) -> None:
    for name, scores in baselines.report().items():
        print(f"{name:<44}" + "  ".join(f"{code} {score:5.1f}" for code, score in scores.items()))


def main() -> int:
    """Run one command; a user's error ends in one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m fun.world", description="The miniature world.")
    commands = parser.add_subparsers(required=True, metavar="command")
    build = commands.add_parser("build", help="make everything from one seed (20 to 30 minutes)")
    build.add_argument("--out", type=Path, default=ASSETS)
    build.add_argument("--seed", type=int, default=0)
    build.set_defaults(run=_build)
    check = commands.add_parser("check", help="compare what is installed with the manifest")
    check.set_defaults(run=_check)
    show = commands.add_parser("show", help="print the first items of a split")
    show.add_argument("--task", choices=TASKS, required=True)
    show.add_argument("--language", choices=(*LANGUAGES, *UNSEEN), required=True)
    show.add_argument("--split", choices=SPLITS, default="test")
    show.add_argument("-n", type=int, default=3)
    show.set_defaults(run=_show)
    shortcuts = commands.add_parser("baselines", help="what the tasks give away without understanding")
    shortcuts.set_defaults(run=_baselines)
    options = parser.parse_args()
    try:
        options.run(options)
    except FunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
