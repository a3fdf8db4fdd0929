"""Building the world: data hashes, encoder and language adapters, from one seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fun.world import text
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE
from fun.world.manifest import ASSETS, canonical, folder_hashes, manifest, sha256, write_manifest
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
    return {code: sha256(canonical(text.generate(code, seed))) for code in LANGUAGES_BY_CODE}


def build(assets: Path, seed: int, phases: "Sequence[Phase] | None" = None) -> None:
    """Make everything from the seed and write it to a folder. `phases`: another training than the shipped one."""
    from fun.world import pretraining

    assets.mkdir(parents=True, exist_ok=True)
    model = pretraining.train_encoder(seed, phases or pretraining.PHASES)
    pretraining.save_encoder(model, assets / "encoder", seed)
    pretraining.save_head(model, assets / "encoder", assets / "mlm_head")
    for code in LANGUAGES:
        pretraining.train_language_adapter(model, code, assets / "adapters" / code, seed)
    write_manifest(assets, seed, split_hashes(seed), text_hashes(seed), LANGUAGES)


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
