"""A small encoder made from real text, and whole runs with it: docs/real-text.md, in miniature and as it stands."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fun.inputs.inputs import folder_key
from fun.models.encoders import check_encoder, load_encoder
from fun.models.files import encoder_files
from tests import small_encoder
from tests.conftest import ROOT, Cli, metrics_of, real_data

PAGE = (ROOT / "docs/real-text.md").read_text(encoding="utf-8")

UPDATES = ("train.updates=13", "train.eval_every=13", "train.batch_size=4")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "text"
    assert small_encoder.main(["text", "--data", str(real_data()), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def little(text: Path) -> Path:
    """The shortest 400 documents of English and Thai: beside all the text, the tokenizer takes a minute."""
    folder = text.parent / "little"
    folder.mkdir()
    for language in ("en", "th"):
        documents = (text / f"{language}.txt").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{language}.txt").write_text("".join(sorted(documents, key=len)[:400]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def encoder(little: Path) -> Path:
    folder = little.parent / "encoder"
    assert small_encoder.main(["encoder", "--text", str(little), "--out", str(folder), "--updates", "2"]) == 0
    return folder


def sha256(name: str) -> str:
    return f"sha256:{hashlib.sha256((real_data() / name).read_bytes()).hexdigest()}"


def record_of(results: Path, task: str, label: str = "") -> tuple[Path, dict[str, Any]]:
    (file,) = results.glob(f"runs/{task}/xlmr/{label}*/record.json")
    return file.parent, json.loads(file.read_text())


def test_the_text_is_every_paragraph_question_and_sentence_once(text: Path) -> None:
    """Against the Thai files, read here by hand; XNLI's may be given."""
    expected: set[str] = set()
    for article in json.loads((real_data() / "xquad/xquad.th.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            expected |= {paragraph["context"], *(question["question"] for question in paragraph["qas"])}
    for line in (real_data() / "xcopa/test.th.jsonl").read_text(encoding="utf-8").strip().split("\n"):
        expected |= {json.loads(line)[column] for column in ("premise", "choice1", "choice2")}
    if (pairs := real_data() / "xnli/th.test.tsv").exists():
        header, *rows = (line.split("\t") for line in pairs.read_text(encoding="utf-8").strip().split("\n"))
        texts = [header.index(f"sentence{number}_th") for number in (1, 2)]
        expected |= {row[column] for row in rows for column in texts}
    written = (text / "th.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert len(written) == len(set(written))
    assert set(written) == {" ".join(document.split()) for document in expected}
    of_xquad_and_xcopa = {"en", "ar", "de", "es", "et", "hi", "id", "it", "sw", "th", "tr", "vi", "zh"}
    assert {path.stem for path in text.iterdir()} >= of_xquad_and_xcopa


def test_the_encoder_is_an_xlmr_and_repeats(little: Path, encoder: Path, tmp_path: Path) -> None:
    loaded = load_encoder(f"folder:{encoder}")
    check_encoder(loaded.module.config, name="xlmr", layers=12, positions=512)
    assert "default" in loaded.module.heads  # that of its pretraining, which task=mlm reads
    assert not loaded.pooler
    thai = "สวัสดีชาวโลก"
    ids = loaded.tokenizer(thai)["input_ids"]
    assert (ids[0], ids[-1], loaded.tokenizer.pad_token_id) == (0, 2, 1)
    assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == thai
    again, other = tmp_path / "again", tmp_path / "other"
    small_encoder.save_encoder(little, again, updates=2, seed=0)
    small_encoder.save_encoder(little, other, updates=2, seed=1)
    assert (
        folder_key(f"folder:{again}", encoder_files)
        == folder_key(f"folder:{encoder}", encoder_files)
        != folder_key(f"folder:{other}", encoder_files)
    )


def test_what_cannot_be_used_ends_in_one_line(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        assert small_encoder.main(arguments) == 1
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "found no text below" in said("encoder", "--text", str(tmp_path / "empty"), "--out", str(tmp_path / "x"))
    assert "data.root is" in said("text", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "x"))
    assert "--updates is 0" in said("encoder", "--text", str(tmp_path), "--out", str(tmp_path / "x"), "--updates", "0")
    assert not (tmp_path / "x").exists()
    assert "not an empty folder" in said("text", "--data", str(real_data()), "--out", str(encoder))


def test_a_run_on_real_text(little: Path, encoder: Path, cli: Cli) -> None:
    """COPA's 400 with two language adapters of its own; Vietnamese has none, Swahili is not asked for."""
    ours = ("model=xlmr", f"model.source=folder:{encoder}")
    for language in ("en", "th"):
        cli("task=mlm", f"lang={language}", *ours, f"data.root={little}", *UPDATES,
            "task.max_length=16", "task.validation_examples=20")  # fmt: skip
    adapters = {language: record_of(cli.results, "mlm", f"{language}-")[1]["run_id"] for language in ("en", "th")}
    done = cli("task=copa", *ours, "~language_adapters",
        *(f"+language_adapters.{language}=run:{run_id}" for language, run_id in adapters.items()),
        f"data.root={real_data()}", "data.nonstandard=true", "evaluate.languages=[en,th,vi]",
        *UPDATES, "schedule=fun", "schedule.k=1", "fisher.batches=1", "model.pooler=false", "model.head_layers=2")  # fmt: skip
    assert "not evaluated: vi has no language adapter" in done.stderr
    folder, record = record_of(cli.results, "copa")
    assert record["marks"] == ["nonstandard"]
    copa = sha256("copa/copa-dev.xml")
    assert record["inputs"] == {
        "encoder": folder_key(f"folder:{encoder}", encoder_files),
        "language_adapter.en": f"run:{adapters['en']}",
        "copa.en.train": f"{copa}[0:400]",
        "copa.en.validation": f"{copa}[400:500]",
    }
    assert {language: evaluation["keys"] for language, evaluation in record["evaluations"]["xcopa"].items()} == {
        "en": {"rows": f"{copa}[400:500]", "language_adapter": f"run:{adapters['en']}"},
        "th": {"rows": sha256("xcopa/test.th.jsonl"), "language_adapter": f"run:{adapters['th']}"},
    }
    assert list(metrics_of(record)["xcopa"]) == ["en", "th"]
    for language, rows in (("en", 100), ("th", 500)):
        predictions = pd.read_parquet(folder / f"predictions/xcopa.{language}.parquet")
        assert len(predictions) == rows
        assert 0 < metrics_of(record)["xcopa"][language]["accuracy"] < 100
    assert record["stages"][-1]["open"] == list(range(12))


@pytest.mark.long
def test_the_page_as_it_stands(tmp_path: Path) -> None:
    """Every command of docs/real-text.md in one shell; what it reaches is printed."""
    script = "set -e\n" + "".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL))
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = Cli(tmp_path / "results").environment() | {"FUN_REAL_DATA": str(real_data()), "PATH": binaries}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = {"copa": ("xcopa", "en sw th"), "mnli": ("xnli", "en sw th"), "squad": ("xquad", "en th")}
    for task, (dataset, languages) in expected.items():
        _, record = record_of(tmp_path / "results", task)
        assert record["marks"] == ["nonstandard"]
        assert sorted(metrics_of(record)[dataset]) == languages.split()
        print(task, metrics_of(record), f"{record['timing']['train_seconds']:.0f} s")
