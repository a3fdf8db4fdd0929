"""What a run reads: its identity, the keys of its evaluations, and how a change of either is noticed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from fun import world
from fun.data import FolderSource
from fun.errors import ConfigError, InputChanged
from fun.inputs import Rows, keys
from fun.inputs.inputs import folder_key
from fun.models.files import adapter_files, encoder_files
from fun.results import Record
from reproduce.numbers.cells import notes_on
from tests.conftest import ROOT, Cli, metrics_of, real_data
from tests.golden import make
from tests.test_run import only, wait_for_update

# --- semantics 2: what a run is tested on does not name it ---

COPA = ("model=mbert", "task=copa", "schedule=std")
MNLI = ("model=mbert", "task=mnli", "schedule=std")

TELL = """
import json, sys
from fun.inputs import compose, evaluation_keys, evaluations, run_id
told = []
for overrides in json.loads(sys.argv[1]):
    config = compose(overrides)
    tests = {f"{dataset} {language}": evaluation_keys(config, dataset, language)
             for dataset, languages in evaluations(config).items() for language in languages}
    told.append([run_id(config), tests])
print(json.dumps(told))
"""


Told = list[tuple[str, dict[str, dict[str, str]]]]
"""The run_id and the keys of every evaluation of some configurations."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fun", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def tell(checkout: Path) -> Told:
    """What `COPA` and `MNLI` are in a checkout."""
    command = [sys.executable, "-c", TELL, json.dumps([COPA, MNLI])]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return json.loads(subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True).stdout)


@pytest.fixture(scope="module")
def before(checkout: Path) -> Told:
    return tell(checkout)


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
def test_what_a_run_is_tested_on_renames_nothing_and_is_lacking(checkout: Path, before: Told, change: str) -> None:
    name, edit, affected = CHANGES[change]
    file = checkout / "conf" / name
    original = file.read_text(encoding="utf-8")
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
    other = Path(shutil.copytree(world.folder("adapters/l3"), tmp_path / "l3"))
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

    # A seventh of the same rows is another evaluation, with the same predictions.
    whole = {name: pd.read_parquet(folder / f"predictions/microcopa.{name}.parquet") for name in ("en", "l3")}
    assert (
        "is done without microcopa in en, microcopa in l3: evaluating that" in cli(*changed, "evaluate.every=7").stderr
    )
    _, third = only(cli)
    assert third["run_id"] == first["run_id"]
    for name, rows in whole.items():
        part = rows.iloc[::7].reset_index(drop=True).assign(example=range(len(rows.iloc[::7])))
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"predictions/microcopa.{name}.parquet"), part)
        right = (part["prediction"] == part["label"]).mean()
        assert metrics_of(third)["microcopa"][name]["accuracy"] == pytest.approx(100 * right)
        assert third["evaluations"]["microcopa"][name]["keys"]["rows"] == f"{keys[name]['rows']}[::7]"


# --- identity is by the files that are read, all of them and no others ---


def encoder(folder: Path, *, sharded: bool = False) -> Path:
    """A folder with the names of an encoder's files, each with its own name as content."""
    folder.mkdir()
    weights = ["model.safetensors"]
    if sharded:
        weights = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(weights)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "spm.model", *weights):
        (folder / name).write_text(name)
    return folder


def test_what_nobody_reads_is_no_part_of_an_encoder(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "encoder")
    before = folder_key(f"folder:{folder}", encoder_files)
    for name in (".DS_Store", ".nfs000000000001", "README.md", "pytorch_model.bin", "optimizer.pt"):
        (folder / name).write_text("x")
    (folder / "onnx").mkdir()
    (folder / "onnx/model.safetensors").write_text("x")
    assert folder_key(f"folder:{folder}", encoder_files) == before


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "spm.model", "model-00002-of-00002.safetensors"]
)
def test_whatever_is_read_is_part_of_an_encoder(tmp_path: Path, name: str) -> None:
    folder = encoder(tmp_path / "encoder", sharded=True)
    before = folder_key(f"folder:{folder}", encoder_files)
    (folder / name).write_text("other")
    assert folder_key(f"folder:{folder}", encoder_files) != before
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"model-00001-of-00002\.safetensors.*give a folder with all files"):
        folder_key(f"folder:{folder}", encoder_files)


def test_a_language_adapter_is_its_description_and_the_weights_that_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "pytorch_adapter.bin").write_text("pickle")
    pickled = folder_key(f"folder:{tmp_path}", adapter_files)
    (tmp_path / "adapter.safetensors").write_text("weights")
    both = folder_key(f"folder:{tmp_path}", adapter_files)
    (tmp_path / "pytorch_adapter.bin").unlink()
    (tmp_path / "pytorch_model_head.bin").write_text("a head beside it")
    assert folder_key(f"folder:{tmp_path}", adapter_files) == both != pickled


# --- data that change while a run reads and trains ---


def test_a_file_that_changed_between_its_hash_and_its_reading_is_named(tmp_path: Path) -> None:
    from fun.experiment import check_unchanged

    file = tmp_path / "copa/copa-dev.xml"
    file.parent.mkdir()
    file.write_text("before")
    rows = Rows("copa.en.train", FolderSource(tmp_path, nonstandard=True), "copa", "en", "train")
    before = keys([rows])
    check_unchanged([rows], before)
    file.write_text("after it")
    os.utime(file, ns=(0, 0))
    with pytest.raises(InputChanged, match=rf"copa\.en\.train \({file}\) changed while it was read"):
        check_unchanged([rows], before)


def test_data_that_are_edited_while_a_run_trains_are_recorded_as_they_were_read(cli: Cli, tmp_path: Path) -> None:
    for name in ("copa/copa-dev.xml", "xcopa/test.it.jsonl"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(real_data() / name, tmp_path / name)
    typed = ("task=copa", "schedule=std", f"data.root={tmp_path}", "data.nonstandard=true", "train.updates=20",
             "train.eval_every=20", "train.batch_size=8", "evaluate.languages=[en]")  # fmt: skip
    named = cli.preview(*typed)["run_id"]
    process = cli.start(*typed)
    wait_for_update(cli, 1)
    with (tmp_path / "copa/copa-dev.xml").open("a") as file:
        file.write("<!-- edited -->")
    _, told = process.communicate()
    assert process.returncode == 0, told
    _, record = only(cli)
    assert record["run_id"] == named != cli.preview(*typed)["run_id"]
    assert record["evaluations"]["xcopa"]["en"]["keys"]["rows"] == record["inputs"]["copa.en.validation"]


# --- what was read from the hub is compared ---


def read(commit: str, *, further: str | None = None, by_a_run: str | None = None) -> Record:
    """A record that read this commit of an encoder; others later, and in the run that made a language adapter."""
    hub = {"somebody/encoder": commit, "datasets/somebody/rows": "d" * 40}
    if by_a_run is not None:
        hub["run:0123456789abcdef/somebody/encoder"] = by_a_run
    environment = {"git_sha": "0" * 40, "git_dirty": False, "hub": hub}
    if further is not None:
        environment["further_evaluations"] = [{**environment, "hub": {"somebody/encoder": further}}]
    return Record.sealed(make.content(make.identity(("seed=0",)), make.metrics({}), environment=environment))


A, B = "a" * 40, "b" * 40
MIXED = ("mixes commits aaaaaaaaaa, bbbbbbbbbb of somebody/encoder",)


@pytest.mark.parametrize(
    ("records", "notes"),
    [
        ([read(A), read(A)], ()),
        ([read(A), read(B)], MIXED),
        ([read(A, further=A)], ()),
        ([read(A, further=B)], MIXED),
        ([read(A, by_a_run=A)], ()),
        ([read(A, by_a_run=B)], MIXED),
    ],
)
def test_a_number_says_that_its_records_read_two_commits(records: list[Record], notes: tuple[str, ...]) -> None:
    assert notes_on(records) == notes
