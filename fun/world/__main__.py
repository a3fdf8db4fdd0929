"""`python -m fun.world build | check`: make everything from one seed, or compare what is there with the manifest."""

import argparse
import sys
from pathlib import Path

from fun.world import building
from fun.world.manifest import ASSETS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m fun.world", description=__doc__)
    parser.add_argument("command", choices=("build", "check"))
    parser.add_argument("--out", type=Path, default=ASSETS, help="of build, which takes 20 to 30 minutes")
    parser.add_argument("--seed", type=int, default=0, help="of build")
    options = parser.parse_args()
    if options.command == "build":
        building.build(options.out, options.seed)
    elif changed := building.differences():
        sys.exit(f"not as the manifest says: {', '.join(changed)}; restore these, or type python -m fun.world build")
