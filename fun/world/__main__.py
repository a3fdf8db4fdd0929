"""`python -m fun.world build | check`: make everything from one seed, or compare what is there with the manifest."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fun.world import ASSETS, MANIFEST, digest, folder_hashes, manifest
from fun.world.documents import texts
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE
from fun.world.splits import SOURCE, SPLITS, TASKS, generate

if TYPE_CHECKING:
    from fun.world.pretraining import Phase


def build(assets: Path, seed: int, phases: "Sequence[Phase] | None" = None) -> None:
    """Make everything from the seed and write it to a folder. `phases`: another training than the shipped one."""
    from fun.world import pretraining

    assets.mkdir(parents=True, exist_ok=True)
    model = pretraining.new_encoder(seed)
    for phase in phases or pretraining.PHASES:
        pretraining.train_phase(model, phase, seed)
    pretraining.save_encoder(model, assets / "encoder", seed)
    pretraining.save_head(model, assets / "encoder", assets / "mlm_head")
    for code in LANGUAGES:
        pretraining.train_language_adapter(model, code, assets / "adapters" / code, seed)
    (assets / MANIFEST).write_text(json.dumps(hashes(assets, seed), indent=1, sort_keys=True) + "\n")


def hashes(assets: Path, seed: int) -> dict[str, Any]:
    """The manifest of what is generated from the seed and of what lies in a folder."""
    return {
        "seed": seed,
        "splits": {
            f"{task}/{code}/{split}": digest(generate(task, code, split, seed))
            for task in TASKS
            for code in LANGUAGES_BY_CODE
            for split in (SPLITS if code == SOURCE else ("test",))
        },
        "text": {code: digest(texts(code, seed)) for code in LANGUAGES_BY_CODE},
        "encoder": folder_hashes(assets / "encoder"),
        "mlm_head": folder_hashes(assets / "mlm_head"),
        "adapters": {code: folder_hashes(assets / "adapters" / code) for code in LANGUAGES},
    }


def differences() -> list[str]:
    """What in this installation is not as the manifest says, by name; empty where all is well."""
    contents = (manifest(), hashes(ASSETS, manifest()["seed"]))
    expected, actual = (pd.json_normalize(content, sep="/").iloc[0].to_dict() for content in contents)
    return [name for name in sorted(map(str, expected | actual)) if expected.get(name) != actual.get(name)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m fun.world", description=__doc__)
    parser.add_argument("command", choices=("build", "check"))
    parser.add_argument("--out", type=Path, default=ASSETS, help="of build, which takes 20 to 30 minutes")
    parser.add_argument("--seed", type=int, default=0, help="of build")
    options = parser.parse_args()
    if options.command == "build":
        build(options.out, options.seed)
    elif changed := differences():
        sys.exit(f"not as the manifest says: {', '.join(changed)}; restore these, or type python -m fun.world build")
