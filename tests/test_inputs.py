"""What a run reads: its identity, the keys of its evaluations, and how a change of either is noticed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from fun import world
from tests.conftest import ROOT, Cli, metrics_of
from tests.test_run import only

# --- semantics 2: what a run is tested on does not name it ---

COPA = ("model=mbert", "task=copa", "schedule=std")
MNLI = ("model=mbert", "task=mnli", "schedule=std")

TELL = """
import json, sys
told = []
for overrides in json.loads(sys.argv[1]):
    config = compose(overrides)
    tests = {f"{dataset} {language}": evaluation_keys(config, dataset, language)
             for dataset, languages in evaluations(config).items() for language in languages}
    told.append([run_id(config), tests])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fun", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def tell(checkout: Path) -> list[tuple[str, dict[str, dict[str, str]]]]:
    """The run_id, and the keys of every evaluation, of `COPA` and `MNLI` as a checkout has them."""
    command = [sys.executable, "-c", TELL, json.dumps([COPA, MNLI])]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return json.loads(subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True).stdout)


CHANGES: dict[str, tuple[str, Callable[[str], str], set[str]]] = {
    "a language more": (
        "datasets/xnli.yaml",
        lambda text: text.replace("[en, ar,", "[en, bg, ar,"),
        {"xnli bg"},
    ),
    "another origin of a target language's adapter": (
        "language_adapters/mbert.yaml",
        lambda text: text.replace("ht: hub:AdapterHub/bert-base-multilingual-cased-ht", "ht: hub:somebody/ht"),
        {"xcopa ht"},
    ),
    "another budget of the language adapters that are trained here": (
        "paper/fun/shared.yaml",
        lambda text: text.replace("train.updates: 50000", "train.updates: 40000"),
        {"xcopa it", "xcopa ta", "xcopa th", "xnli th"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_run_is_tested_on_renames_nothing_and_is_lacking(checkout: Path, change: str) -> None:
    name, edit, affected = CHANGES[change]
    file = checkout / "conf" / name
    original = file.read_text(encoding="utf-8")
    before = tell(checkout)
    file.write_text(edit(original), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != original
    try:
        after = tell(checkout)
    finally:
        file.write_text(original, encoding="utf-8")
    assert [run_id for run_id, _ in after] == [run_id for run_id, _ in before]
    changed = {
        test
        for (_, old), (_, new) in zip(before, after, strict=True)
        for test in new.keys() | old.keys()
        if old.get(test) != new.get(test)
    }
    assert changed == affected


SHORT_COPA = ("task=copa", "schedule=std", "train.updates=6", "train.batch_size=8", "evaluate.languages=[en,l3]")


def test_the_same_command_makes_the_evaluation_whose_keys_changed_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    cli(*SHORT_COPA)
    folder, first = only(cli)
    weights = (folder / "adapter/adapter.safetensors").stat().st_mtime_ns
    other = Path(shutil.copytree(world.language_adapter_folder("l3"), tmp_path / "l3"))
    (file,) = other.glob("*.safetensors")
    save_file({name: 3 * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    changed = (*SHORT_COPA, f"language_adapters.l3=folder:{other}")
    assert "is done without microcopa in l3: evaluating that" in cli(*changed).stderr
    assert "nothing to do" in cli(*changed).stderr
    _, second = only(cli)
    assert (folder / "adapter/adapter.safetensors").stat().st_mtime_ns == weights
    keys = {name: second["evaluations"]["microcopa"][name]["keys"] for name in ("en", "l3")}
    assert keys["en"] == first["evaluations"]["microcopa"]["en"]["keys"]
    assert keys["l3"]["rows"] == first["evaluations"]["microcopa"]["l3"]["keys"]["rows"]
    assert keys["l3"]["language_adapter"].startswith("sha256:")
    assert metrics_of(second)["microcopa"]["en"] == metrics_of(first)["microcopa"]["en"]
    assert metrics_of(second)["microcopa"]["l3"] != metrics_of(first)["microcopa"]["l3"]
    assert [second[name] for name in ("run_id", "stages", "validation")] == [
        first[name] for name in ("run_id", "stages", "validation")
    ]
