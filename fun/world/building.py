"""Building the world: data hashes, encoder and language adapters, from one seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fun.world.documents import texts
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE
from fun.world.manifest import ASSETS, MANIFEST, canonical, folder_hashes, manifest, sha256
from fun.world.splits import TASKS, available, generate

if TYPE_CHECKING:
    from fun.world.pretraining import Phase


def split_hashes(seed: int) -> dict[str, str]:
    """task/language/split -> hash of its canonical JSON, for every split there is."""
    return {
        f"{task}/{code}/{split}": sha256(canonical(generate(task, code, split, seed)))
        for task in TASKS
        for code in LANGUAGES_BY_CODE
        for split in available(task, code)
    }


def text_hashes(seed: int) -> dict[str, str]:
    """language -> hash of the canonical JSON of its documents."""
    return {code: sha256(canonical(texts(code, seed))) for code in LANGUAGES_BY_CODE}


def build(assets: Path, seed: int, phases: "Sequence[Phase] | None" = None) -> None:
    """Make everything from the seed and write it to a folder. `phases`: another training than the shipped one."""
    from fun.world import pretraining

    assets.mkdir(parents=True, exist_ok=True)
    model = pretraining.train_encoder(seed, phases or pretraining.PHASES)
    pretraining.save_encoder(model, assets / "encoder", seed)
    pretraining.save_head(model, assets / "encoder", assets / "mlm_head")
    for code in LANGUAGES:
        pretraining.train_language_adapter(model, code, assets / "adapters" / code, seed)
    content = {
        "seed": seed,
        "splits": split_hashes(seed),
        "text": text_hashes(seed),
        "encoder": folder_hashes(assets / "encoder"),
        "mlm_head": folder_hashes(assets / "mlm_head"),
        "adapters": {code: folder_hashes(assets / "adapters" / code) for code in LANGUAGES},
    }
    (assets / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def differences() -> list[str]:
    """What in this installation is not as the manifest says, one line each; empty where all is well."""
    expected = manifest()
    found = split_hashes(expected["seed"])
    splits, texts = expected["splits"], expected["text"]
    wrong = [name for name in sorted(splits | found) if splits.get(name) != found.get(name)]
    wrong += [f"text in {code}" for code, hash_ in text_hashes(expected["seed"]).items() if texts.get(code) != hash_]
    folders = {"encoder": expected["encoder"], "mlm_head": expected["mlm_head"]}
    folders |= {f"adapters/{code}": files for code, files in expected["adapters"].items()}
    for name, files in folders.items():
        there = folder_hashes(ASSETS / name)
        wrong += [f"{name}/{file}" for file in sorted(files | there) if files.get(file) != there.get(file)]
    return wrong
