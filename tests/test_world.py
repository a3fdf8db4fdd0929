"""The miniature world: the data are what the manifest says, sound, and free of repeats; the assets load."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import AutoAdapterModel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from fun import world
from fun.data import WorldSource
from fun.errors import ConfigError
from fun.world import LANGUAGES, TASKS, UNSEEN, load_split
from fun.world.__main__ import build, differences
from tests import declared
from tests import world_baselines as baselines

Rows = list[dict[str, Any]]

TOLD = (*LANGUAGES, *UNSEEN)

WINDOW = 64  # tokens the tasks read at once, question and special tokens included


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(world.folder("encoder"))


@pytest.fixture(scope="module")
def english() -> dict[tuple[str, str], Rows]:
    return {(task, split): load_split(task, "en", split) for task in TASKS for split in TASKS[task].sizes}


@pytest.fixture(scope="module")
def tests() -> dict[tuple[str, str], Rows]:
    return {(task, code): load_split(task, code, "test") for task in TASKS for code in TOLD}


def texts(row: dict[str, Any]) -> list[str]:
    read = [" ".join(row["tokens"])] if "tokens" in row else []
    return read + [row[column] for column in row if isinstance(row[column], str) and column not in ("id", "title")]


def test_everything_is_as_the_manifest_says() -> None:
    assert differences() == []


def test_sizes_and_balanced_classes(english: dict[tuple[str, str], Rows]) -> None:
    for (task, split), rows in english.items():
        assert len(rows) == len({row["id"] for row in rows}) == TASKS[task].sizes[split]
        if "label" in rows[0]:
            counts = Counter(row["label"] for row in rows).values()
            assert max(counts) - min(counts) <= 1


def test_splits_share_no_item(english: dict[tuple[str, str], Rows]) -> None:
    for task in TASKS:
        rows = [row for split in TASKS[task].sizes for row in english[task, split]]
        assert len(rows) - len({tuple(sorted(texts(row))) for row in rows}) == 0


def test_test_items_are_parallel_and_translated(tests: dict[tuple[str, str], Rows]) -> None:
    for task in TASKS:
        source = tests[task, "en"]
        for code in TOLD[1:]:
            pairs = list(zip(tests[task, code], source, strict=True))
            assert all(row["id"] == english["id"] for row, english in pairs)
            assert all(row.get("label") == english.get("label") for row, english in pairs)
            # half of l1's words are English: some short items are the same
            same = sum(texts(row) == texts(english) for row, english in pairs)
            assert same < (0.15 if code == "l1" else 0.03) * len(pairs)


def test_answers_stand_where_the_offsets_say(
    tokenizer: PreTrainedTokenizerFast,
    english: dict[tuple[str, str], Rows],
    tests: dict[tuple[str, str], Rows],
) -> None:
    rows = [row for code in TOLD for row in tests["squad", code]]
    rows += english["squad", "train"] + english["squad", "validation"]
    encoded = tokenizer([row["context"] for row in rows], return_offsets_mapping=True)["offset_mapping"]
    for row, offsets in zip(rows, encoded, strict=True):
        begins, ends = {start for start, _ in offsets}, {end for _, end in offsets}
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
            assert start in begins
            assert start + len(text) in ends


def test_some_answers_repeat_and_some_contexts_exceed_the_window(
    tokenizer: PreTrainedTokenizerFast, tests: dict[tuple[str, str], Rows]
) -> None:
    for code in LANGUAGES:
        rows = tests["squad", code]
        repeated = [row for row in rows if row["context"].count(row["answers"]["text"][-1]) > 1]
        assert 0.2 < len(repeated) / len(rows) < 0.6
        pairs = tokenizer([row["question"] for row in rows], [row["context"] for row in rows])["input_ids"]
        long = [ids for ids in pairs if len(ids) > WINDOW]
        assert 0.08 < len(long) / len(rows) < 0.16
        assert max(map(len, pairs)) <= tokenizer.model_max_length


def test_no_word_is_unknown(tokenizer: PreTrainedTokenizerFast, tests: dict[tuple[str, str], Rows]) -> None:
    written = [text for rows in tests.values() for row in rows for text in texts(row)]
    written += ["What was the cause?", "What was the effect?"]
    ids = tokenizer(written)["input_ids"]
    assert sum(row.count(tokenizer.unk_token_id) for row in ids) == 0


def test_shortcuts_do_not_solve_the_tasks() -> None:
    scores = baselines.report()
    assert scores["mnli: words of the claim alone, accuracy"]["en"] < 43
    assert scores["mnli: overlap with the premise, accuracy"]["en"] < 65
    assert max(scores["squad: clause in the relation asked for, EM"].values()) < 75
    assert scores["copa: words of the choices alone, accuracy"]["en"] < 65


def test_encoder_and_adapters_load_in_full(tokenizer: PreTrainedTokenizerFast) -> None:
    model, report = AutoAdapterModel.from_pretrained(
        world.folder("encoder"), dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values())
    batch = tokenizer("Umar visits the city.", "Umar visits where?", return_tensors="pt")
    hidden = [model(**batch)[0]]
    for code in LANGUAGES:
        folder = world.folder(f"adapters/{code}")
        assert model.load_adapter(str(folder), use_safetensors=True, with_head=False) == code
        model.set_active_adapters(code)
        hidden.append(model(**batch)[0])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert len({state[0, 0, 0].item() for state in hidden}) == 1 + len(LANGUAGES)


def test_a_language_that_the_encoder_has_never_seen_stands_apart() -> None:
    english, unseen = (load_split("copa", code, "test")[0]["premise"] for code in ("en", "l8"))
    assert english == "Dora spots the rabbit. Dora dreads the camel."
    assert unseen == "rabbit the spots Dora. camel the dreads Dora."
    assert WorldSource().test_sets(declared.task("copa")) == {"microcopa": LANGUAGES}
    for look_up in (world.folder, world.key):
        with pytest.raises(ConfigError, match=r"task=mlm lang=l8, and type language_adapters\.l8=train"):
            look_up("adapters/l8")


def test_assets_are_small() -> None:
    assets: Path = world.folder("encoder").parent
    assert sum(path.stat().st_size for path in assets.rglob("*") if path.is_file()) < 6_000_000


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (("xnli", "en", "test"), "squad, mnli, copa"),
        (("mnli", "de", "test"), "en, l1, l2, l3, l4, l5, l6, l7"),
        (("mnli", "en", "dev"), "test, validation, train"),
        (("mnli", "l3", "train"), "other languages than en test alone"),
    ],
)
def test_unknown_names_are_refused_with_the_valid_ones(name: tuple[str, str, str], remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        load_split(*name)
    with pytest.raises(ConfigError, match=remedy):
        world.key(f"splits/{'/'.join(name)}")


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(world.ASSETS, tmp_path / "assets")
    weights = tmp_path / "assets/adapters/l1/adapter.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(world, "ASSETS", tmp_path / "assets")
    assert world.folder("adapters/l2").is_dir()
    with pytest.raises(ConfigError, match=r"adapter\.safetensors is not what the manifest says"):
        world.folder("adapters/l1")


@pytest.mark.long
def test_a_rebuild_is_whole_and_the_same_twice(tmp_path: Path) -> None:
    from fun.world.pretraining import FIRST, Phase

    for name in ("one", "two"):  # 330 updates instead of 11,000; all else is the real build
        build(tmp_path / name, seed=0, phases=[Phase("one", 330, 2e-3, FIRST)])
    built = {name: json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")}
    assert built["one"] == built["two"]
    assert built["one"]["splits"] == world.manifest()["splits"]  # the data do not depend on the training
    assert built["one"]["encoder"].keys() == world.manifest()["encoder"].keys()
    model = AutoAdapterModel.from_pretrained(tmp_path / "one/encoder", dtype=torch.float32)
    for language in LANGUAGES:
        model.load_adapter(str(tmp_path / f"one/adapters/{language}"), with_head=False, use_safetensors=True)
