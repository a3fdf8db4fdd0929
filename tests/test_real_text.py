"""Real text: answers through each real type of tokenizer, and real files through either source."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from transformers import BertTokenizerFast, DebertaV2TokenizerFast, PreTrainedTokenizerFast, XLMRobertaTokenizerFast

from fun import metrics
from fun.data import FolderSource
from fun.tasks.qa import Window
from tests import declared, tiny_tokenizers
from tests.conftest import ROOT, real_data
from tests.hub_datasets import publish
from tests.hub_standin import HubStandin

LANGUAGES = ("en", "ar", "de", "es", "hi", "th", "vi", "zh")
PAPER = {"max_length": 384, "doc_stride": 128}

Row = dict[str, Any]


class Kind(NamedTuple):
    """A type of tokenizer: who builds a small one, and its real class."""

    build: Callable[..., Path]
    real: type[PreTrainedTokenizerFast]


KINDS = {
    "bert": Kind(tiny_tokenizers.wordpiece, BertTokenizerFast),
    "xlm-roberta": Kind(tiny_tokenizers.xlmr, XLMRobertaTokenizerFast),
    "deberta-v2": Kind(tiny_tokenizers.deberta, DebertaV2TokenizerFast),
}


@pytest.fixture(scope="module")
def questions() -> dict[str, list[Row]]:
    """Language -> XQuAD's rows."""
    source = FolderSource(real_data(), nonstandard=True)
    return {language: source.rows("xquad", language, "test") for language in LANGUAGES}


def gold_span(window: Window) -> tuple[int, int]:
    """Characters [start, end) that the tokens of a window's label cover."""
    first, last = window.labels
    return int(window.offsets[first, 0]), int(window.offsets[last, 1])


def certain(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """The logits of a model that knows the window's label, and that no answer is at [CLS]."""
    start, end = np.zeros((2, window.length), dtype=np.float32)
    start[window.labels[0]] = end[window.labels[1]] = 9
    return start, end


# DeBERTa's models know bytes as a last resort, which the fast tokenizer does not.
@pytest.mark.filterwarnings("ignore:The sentencepiece tokenizer that you are converting:UserWarning")
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", KINDS)
def test_every_answer_survives_the_tokenizer(
    name: str, every: int, questions: dict[str, list[Row]], tmp_path: Path
) -> None:
    questions = {language: rows[::every] for language, rows in questions.items()}
    contexts = dict.fromkeys(row["context"] for language in LANGUAGES for row in questions[language])
    folder = KINDS[name].build(contexts, tmp_path)
    tokenizer = KINDS[name].real.from_pretrained(folder)
    # Longer than the paper's 30 tokens: here it is the tokenizer that is asked, and `long` counts what 30 would cut.
    task = declared.task("squad", **PAPER, max_answer_length=384)
    for language, rows in questions.items():
        windows = task.encode(rows, tokenizer, "en")
        holding = {window.example: window for window in windows if window.offsets[window.labels[0], 0] >= 0}
        scored = task.score(rows, windows, [certain(window) for window in windows], language, "xquad")
        counts = Counter[str]()
        for index, (row, prediction) in enumerate(zip(rows, scored.predictions, strict=True)):
            window, answer = holding[index], row["answers"]["text"][0].strip()
            counts[fate(answer, prediction["prediction"], language)] += 1
            counts["long"] += window.labels[1] - window.labels[0] + 1 > 30
            # What is said too much belongs to the tokens that begin and end the answer.
            first, last = window.labels
            start = row["context"].index(answer, row["answers"]["answer_start"][0])
            assert window.offsets[first, 0] <= start < window.offsets[first, 1]
            assert window.offsets[last, 0] < start + len(answer) <= window.offsets[last, 1]
        print(f"{name:12} {language}", *(f"{fate} {counts[fate]}" for fate in ("same", "scored", "wider", "long")))
        assert counts["lost"] == 0
        assert counts["wider"] <= 5
        assert counts["same"] + counts["scored"] + counts["wider"] == len(rows) == 1190 // every
        assert scored.metrics["f1"] > 99


def fate(answer: str, prediction: str, language: str) -> str:
    """What became of an answer.

    `same`; `scored` as the same (punctuation beside it is in its token); `wider`, which scores less (it begins or
    ends inside a token: an article written to its word, a cut number, a byte order mark); or `lost`.
    """
    if prediction == answer:
        return "same"
    references = [{"id": "0", "answers": {"text": [answer], "answer_start": [0]}}]
    predictions = [{"id": "0", "prediction_text": prediction}]
    metric = metrics.qa_metrics("xquad", language)[""]
    if metric.compute(predictions=predictions, references=references)["exact_match"] == 100:
        return "scored"
    return "wider" if answer in prediction else "lost"


READ = """
import json, sys
from fun.data import HubSource
source = HubSource()
wanted = json.load(sys.stdin)
json.dump([[source.rows(*split), source.key(*split)] for split in wanted], sys.stdout)
"""


def test_files_and_hub_hold_the_same_rows(tmp_path: Path) -> None:
    """Real files through FolderSource, and the same rows as parquet in the publishers' layouts through HubSource."""
    folder = FolderSource(real_data(), nonstandard=True)
    wanted = [
        *(("xquad", language, "test") for language in ("en", "th", "zh")),
        *(("xnli", language, "test") for language in ("en", "sw")),
        *(("xcopa", language, "test") for language in ("en", "et", "id", "it", "sw", "th", "tr", "vi", "zh")),
        ("copa", "en", "train"),
        ("mnli", "en", "validation"),
        ("wikiann", "af", "test"),
        ("pawsx", "zh", "test"),
    ]
    on_disk = [folder.rows(*split) for split in wanted]
    for (dataset, language, split), rows in zip(wanted, on_disk, strict=True):
        name, theirs = ("copa", "validation") if (dataset, language) == ("xcopa", "en") else (dataset, split)
        publish(tmp_path / "hub", name, language, "validation" if name == "xquad" else theirs, rows)

    with HubStandin(tmp_path / "hub") as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", READ]
        found = subprocess.run(
            command, input=json.dumps(wanted), capture_output=True, text=True, env=environment, cwd=ROOT
        )
    assert found.returncode == 0, found.stderr
    # HubSource counts the rows as well: 1,190, 5,010, 500, 100, 400, 1,000 and 2,000 were right.
    assert [rows for rows, _ in json.loads(found.stdout)] == on_disk
    keys = [key for _, key in json.loads(found.stdout)]
    assert len(set(keys)) == len(keys)
    assert keys[1] == "hub:google/xquad@main/xquad.th/validation-*.parquet"
    assert keys[5] == "hub:aps/super_glue@refs/convert/parquet/copa/validation/*.parquet"
    assert not set(keys) & {folder.key(*split) for split in wanted}
