"""`python -m fun.inspect`: what is shown is what the model reads, in every script, from every source."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from fun import world
from fun.data import FolderSource
from fun.inspect import request
from fun.inspect.__main__ import main
from fun.inspect.rendering import CIRCLE, END, ISOLATE, visible
from fun.inspect.report import Report, Token, report
from fun.tasks.base import by_example
from tests import declared, hub_datasets, tiny_models, tiny_tokenizers
from tests.conftest import ROOT, real_data
from tests.hub_standin import HubStandin, revision_folder
from tests.waiting import ended


def looked(*typed: str) -> Report:
    return report(request(typed))


def shown(capsys: pytest.CaptureFixture[str], *typed: str, status: int = 0) -> str:
    """Standard output, or standard error where it fails."""
    assert main(list(typed)) == status
    out, err = capsys.readouterr()
    assert not (err if status == 0 else out)
    return err if status else out


def asked(tokens: Sequence[Token]) -> list[str]:
    return [token.piece for token in tokens if token.asked]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(world.folder("encoder"))


def test_what_is_cut_off_is_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = world.load_split("mnli", "l1", "test")
    whole = [len(tokenizer(row["premise"], row["hypothesis"])["input_ids"]) for row in rows]
    seen = looked("task=mnli", "lang=l1", "task.max_length=18", "n=5", "first=7")
    lost = [max(0, length - 18) for length in whole]
    cut = sum(number > 0 for number in lost)
    assert 0 < cut < 400
    worst = f"at most {max(lost)} (first={int(np.argmax(lost))})"
    assert dict(seen.facts)["cut off"] == (
        f"{cut} of 400 ({cut / 4:.1f} %) examples lose tokens, {sum(lost):,} in all, {worst}"
    )
    assert dict(seen.facts)["tokens"] == (
        f"of an example: min {min(whole)}, median {np.median(np.minimum(whole, 18)):.1f}, 95 % 18.0, max 18 "
        f"(first={int(np.argmax(np.minimum(whole, 18)))})"
    )
    assert [example.title for example in seen.examples] == [f"example {index}" for index in range(7, 12)]
    for index, example in enumerate(seen.examples, start=7):
        ((heading, tokens),) = example.sequences
        assert len(tokens) == min(18, whole[index])
        assert heading == f"sequence 1 of 1: {len(tokens)} tokens"
        assert dict(example.facts)["hypothesis"] == rows[index]["hypothesis"]


def test_both_choices_of_copa_are_shown_with_the_prompt(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = world.load_split("copa", "en", "train")
    seen = looked("task=copa", "split=train", "n=400")
    for row, example in zip(rows, seen.examples, strict=True):
        prompt = f"{row['premise']} What was the {row['question']}?"
        facts = dict(example.facts)
        assert facts["prompt"] == prompt
        assert facts["label"] == f"{row['label']} (choice{row['label'] + 1})"
        for choice, (_, tokens) in zip((row["choice1"], row["choice2"]), example.sequences, strict=True):
            pieces = [token.piece for token in tokens]
            assert pieces == ["[CLS]", *tokenizer.tokenize(prompt), "[SEP]", *tokenizer.tokenize(choice), "[SEP]"]


def question(context: str, answer: str, start: int) -> dict[str, Any]:
    return {"id": "q", "question": "mime?", "context": context, "answers": {"text": [answer], "answer_start": [start]}}


def test_an_answer_is_traced_through_its_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Six words of one token each in windows of four, that share two or none: [CLS] mime ? [SEP] … [SEP]."""
    context = "kedi lari nina kedi lari nina"
    rows = [question(context, "kedi lari", 15), question(context, "ari", 6), question(context, "nina kedi", 10)]
    none, part, whole = ("", "in no window"), ("lari", "not quite the same"), ("nina kedi", "the same")
    for stride, back in {0: [none, part, whole], 2: [("kedi lari", "the same"), part, whole]}.items():
        task = declared.task("squad", max_length=9, doc_stride=stride)
        groups = by_example(task.encode(rows, tokenizer, "en"))
        described = [dict(task.describe(rows, group)) for group in groups]
        assert [(facts["tokens say"], facts["which is"]) for facts in described] == back
    assert described[0]["where"] == "characters 15 to 24"
    assert described[0]["window 1"] == "characters 0 to 19 of the context, without the whole answer"
    assert described[0]["window 2"] == "characters 10 to 29 of the context, answer in tokens 5 to 6"
    assert [list(task.asked(window)) for window in groups[0]] == [[0], [5, 6]]
    answers, unanswered = task.lost(rows, [window for group in groups for window in group], tokenizer)
    assert answers == ("answers", "through their tokens and back: 2 the same, 1 not quite the same, 0 in no window")
    assert unanswered == ("unanswered", "2 of 6 (33.3 %) windows without the whole answer, labelled [CLS]")


def test_masked_tokens_show_what_they_hide(tokenizer: PreTrainedTokenizerBase) -> None:
    documents = {" ".join(tokenizer.tokenize(text)) for text in world.load_text("l2")}
    whole: list[str] = []
    for example in looked("task=mlm", "lang=l2", "n=20").examples:
        ((_, tokens),) = example.sequences
        assert len(tokens) == 64
        assert len(asked(tokens)) == 10  # 15 %
        assert example.facts == [("masked", "10 of 64 tokens")]
        restored = " ".join(token.hides or token.piece for token in tokens)
        whole += restored.split(" [SEP]")[1:-2]  # what begins and ends a passage goes on in its neighbours
    assert len(whole) >= 10
    assert {text.strip() for text in whole} <= documents


def test_the_training_subset_is_the_runs_own() -> None:
    assert (
        dict(looked("split=train", "data_size=1k", "n=1").facts)["data"]
        == "micronli, lang=en, split=train: 1,000 examples"
    )


def test_lang_is_looked_at_and_for_mlm_also_trained() -> None:
    assert request(["task=squad", "lang=l2"]).config.lang is None
    assert request(["task=mlm", "lang=l2"]).config.lang == "l2"
    assert request(["task=mlm", "lang=l2"]).language == "l2"
    wanted = request(["task=squad", "model=xlmr", "lang=vi", "dataset=mlqa"])
    assert (wanted.dataset, wanted.language, wanted.split) == ("mlqa", "vi", "test")
    assert request(["task=squad", "model=xlmr", "lang=th"]).dataset == "xquad"
    assert request(["task=squad", "model=xlmr", "split=train"]).dataset == "squad"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("task=squad lang=xx", "lang is 'xx'; split=test of microqa has en, l1, l2"),
        ("task=squad model=xlmr lang=th dataset=mlqa", "split=test of mlqa has en, ar, de, es, hi, vi, zh: type one"),
        ("task=squad lang=l1 split=train", "split=train of microqa has en: type one of these, or split=test"),
        ("dataset=squad model=xlmr task=squad", "dataset is 'squad'; split=test of task=squad is xquad or mlqa"),
        ("split=dev", "split is 'dev'; expected one of train, validation, test"),
        ("n=0", "n is '0'; expected a number from 1 on"),
        ("first=400", "first is 400; this split has 400 examples"),
        ("task=mlm", "type lang=…"),
        ("task=mlm lang=xx", "lang is 'xx'"),
        ("task=squad data.root=/nowhere model=xlmr", "data.root"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys: pytest.CaptureFixture[str], typed: str, said: str) -> None:
    error = shown(capsys, *typed.split(), status=2)
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "said"), [("seeed=1", "Did you mean seed?"), ("task=foo", "Could not find 'task/foo'")]
)
def test_what_hydra_refuses_is_told_in_its_words(capsys: pytest.CaptureFixture[str], typed: str, said: str) -> None:
    assert said in shown(capsys, typed, status=2)


KINDS = {
    "mbert": (tiny_tokenizers.wordpiece, "bert", "ar"),
    "xlmr": (tiny_tokenizers.xlmr, "xlm-roberta", "th"),
    "mdeberta": (tiny_tokenizers.deberta, "deberta-v2", "hi"),
}
"""A tokenizer of each real type, and a script that is hard to show."""


# DeBERTa's models know bytes as a last resort, which the fast tokenizer does not.
@pytest.mark.filterwarnings("ignore:The sentencepiece tokenizer that you are converting:UserWarning")
@pytest.mark.parametrize("model", KINDS)
def test_no_script_garbles_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str) -> None:
    build, kind, language = KINDS[model]
    rows = FolderSource(real_data(), nonstandard=True).rows("xquad", language, "test")
    folder = build(list(dict.fromkeys(row["context"] for row in rows))[:40], tmp_path / model, 1000)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    typed = [f"model={model}", f"model.source=folder:{folder}", f"data.root={real_data()}", "data.nonstandard=true"]
    out = shown(capsys, "task=squad", *typed, f"lang={language}", "n=2")
    for line in out.splitlines():
        assert cell_len(line) <= 100
        assert line.count(ISOLATE) == line.count(END)
        assert not re.search(f"{ISOLATE}[^{END}]*(characters|the same)", line)  # our own words are not text
        # A mark without its letter would sit on the sign before it.
        behind_signs = re.findall(r"[/·⟦#▁←](.)", line)
        assert not any(unicodedata.category(character).startswith("M") for character in behind_signs)
        # Letters from right to left are isolated: what follows them stays at their right.
        outside = re.sub(f"{ISOLATE}.*?{END}", "", line)
        assert not any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in outside)
    assert (ISOLATE in out) == (language == "ar")
    assert CIRCLE in out
    assert re.search(r"through their tokens and back: 1,1\d\d the same, \d+ not quite the same, 0 in no window", out)


def test_colour_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    plain = shown(capsys, "n=1")
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = shown(capsys, "n=1")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_characters_without_a_shape_are_shown_by_number() -> None:
    assert visible("a\nb\t\x1b[31mc\u202ed\u00ad") == "a↵b⇥⟨U+001B⟩[31mc⟨U+202E⟩d⟨U+00AD⟩"
    assert visible("क्\u200dष") == "क्\u200dष"  # joins letters: without it others would be seen


# By id: the real client, a stand-in of the hub, then its cache alone.


def test_by_id_only_the_tokenizer_is_downloaded_and_the_cache_serves_without_a_network(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    rows = hub_datasets.world_rows("squad", "l1", "test", 1190)
    hub_datasets.publish(root, "xquad", "th", "validation", rows)
    hub_datasets.write_cards(root)
    repo, build = tiny_models.MODELS["xlmr"]
    build(revision_folder(root, "models", repo), [row["context"] for row in rows])
    with HubStandin(root) as hub:
        process = twice(hub.url, tmp_path)
        assert process.stdout
        online = "".join(iter(process.stdout.readline, "again\n"))
        requests = list(hub.requests)
    offline, err = ended(process, "\n")
    assert not err
    assert online.splitlines()[0].split() == ["run", "task=squad", "model=xlmr"]
    assert "xquad, lang=th, split=test: 1,190 examples" in online
    assert rows[0]["question"] in online
    fetched = {
        request.rpartition("/")[2] for request in requests if request.startswith("GET") and "/resolve/" in request
    }
    tokenizer = {"config.json", "tokenizer.json", "tokenizer_config.json", "sentencepiece.bpe.model"}
    assert fetched == {*tokenizer, "validation-00000-of-00001.parquet"}
    assert offline == online


TWICE = """
import sys
from fun.inspect.__main__ import main
main(sys.argv[1:])
print("again", flush=True)
input()
main(sys.argv[1:])
"""


def twice(endpoint: str, home: Path) -> "subprocess.Popen[str]":
    """A process with a cache of its own that looks, waits for a line on standard input, and looks again."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "home"), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", TWICE, "task=squad", "model=xlmr", "lang=th", "n=1"]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment)
