"""`python -m reproduce preflight`: everything right, then one thing wrong at a time, against a stand-in of the hub."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from datasets import Value

from fun.errors import HubError
from fun.inputs import compose, language_adapters, run_id
from reproduce.carry.preflight.checks import Check, check
from reproduce.carry.preflight.hub import Hub, Result
from reproduce.carry.preflight.inputs import inputs_of
from tests import hub_datasets, synthetic, tiny_models
from tests.conftest import ROOT
from tests.hub_datasets import Layout, publish, world_rows
from tests.hub_standin import HubStandin, Refusal, Revision, revision_folder

NOBODY = "http://127.0.0.1:9"
ENCODER = "FacebookAI/xlm-roberta-base"
TARGETS = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
XLMR = ("task=copa", "model=xlmr", "schedule=std")


def adapter(language: str) -> str:
    return f"AdapterHub/xlm-roberta-base-{language}-wiki_pfeiffer"


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that `XLMR` reads, with as many rows as the publishers' data sets have."""
    root = tmp_path_factory.mktemp("right")
    rows = world_rows("copa", "en", "train", 500)
    publish(root, "copa", "en", "train", rows[:400])
    publish(root, "copa", "en", "validation", rows[:100])
    for language in TARGETS:
        publish(root, "xcopa", language, "test", rows)
    hub_datasets.write_cards(root)
    encoder = tiny_models.xlmr(revision_folder(root, "models", ENCODER), [row["premise"] for row in rows])
    first = tiny_models.language_adapter(revision_folder(root, "models", adapter("en")), encoder, "en")
    for language in TARGETS:
        shutil.copytree(first, revision_folder(root, "models", adapter(language)))
    return root


@pytest.fixture
def tree(right: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(right, tmp_path / "hub"))


def checked(tree: Path, results: Path, *typed: str) -> list[Check]:
    with HubStandin(tree, page=3) as hub:
        return check(inputs_of([compose(typed or XLMR)], results), Hub(hub.url))


def unmet(checks: Sequence[Check]) -> list[Check]:
    return [found for found in checks if found.result is not Result.ok]


def test_everything_right_is_found_without_a_download(right: Path, tmp_path: Path) -> None:
    with HubStandin(right, page=3) as hub:
        checks = check(inputs_of([compose(XLMR)], tmp_path), Hub(hub.url))
        requests = list(hub.requests)
    assert not unmet(checks)
    # The encoder, COPA's two splits, XCOPA in 12 languages, an adapter for each.
    assert len(checks) == 1 + 2 + 12 + 12
    assert checks[0] == Check(
        what="encoder, xlmr",
        place=f"{ENCODER}@main",
        expected="12 layers, 512 positions, weights, tokenizer",
        found="12 layers, 512 positions, model.safetensors, tokenizer.json",
        result=Result.ok,
    )
    (thai,) = (found for found in checks if found.what == "xcopa th test")
    assert thai.place == "cambridgeltl/xcopa@main"
    assert thai.expected == "th/test-*.parquet: premise, choice1, choice2, question, label; 500 rows"
    assert thai.found == "these columns, 500 rows in 1 file"
    read = {request.rpartition("/")[2] for request in requests if "/resolve/" in request}
    assert read == {
        "config.json",
        "adapter_config.json",
        "0000.parquet",
        "test-00000-of-00001.parquet",
    }


def renamed_column(tree: Path) -> None:
    layout = hub_datasets.LAYOUTS["xcopa"]
    columns = {("gold" if name == "label" else name): value for name, value in layout.columns.items()}
    rows = [{**row, "gold": row["label"]} for row in world_rows("copa", "l1", "test", 500)]
    publish(tree, "xcopa", "th", "test", rows, layout._replace(columns=columns))


def other_count(tree: Path) -> None:
    publish(tree, "xcopa", "th", "test", world_rows("copa", "l1", "test", 499))


def no_revision(tree: Path) -> None:
    folder = revision_folder(tree, "models", adapter("th"))
    folder.rename(folder.with_name("v2"))


def other_layers(tree: Path) -> None:
    path = revision_folder(tree, "models", ENCODER) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 24}))


def other_type(tree: Path) -> None:
    path = revision_folder(tree, "models", ENCODER) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "gpt2"}))


def other_encoder(tree: Path) -> None:
    path = revision_folder(tree, "models", adapter("th")) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_size": 768}))


def removed(kind: str, repo: str, name: str = "") -> Callable[[Path], None]:
    def remove(tree: Path) -> None:
        folder = tree / kind / repo
        if name:
            (found,) = folder.glob(f"*/{name}")
            found.unlink()
        else:
            shutil.rmtree(folder)

    return remove


def cut(tree: Path) -> None:
    (path,) = revision_folder(tree, "datasets", "cambridgeltl/xcopa").glob("th/*.parquet")
    path.write_bytes(path.read_bytes()[:-100])


WRONG = {
    "no adapter": (
        removed("models", adapter("th")),
        "language adapter th, xlmr",
        (Result.missing, "no such repository, or none that you may read", "hf auth login"),
    ),
    "no revision": (
        no_revision,
        "language adapter th, xlmr",
        (Result.missing, "no revision main", "give a branch, tag or commit"),
    ),
    "no weights": (
        removed("models", adapter("th"), "pytorch_adapter.bin"),
        "language adapter th, xlmr",
        (Result.missing, "neither adapter.safetensors nor pytorch_adapter.bin", "another repository"),
    ),
    "adapter of another encoder": (
        other_encoder,
        "language adapter th, xlmr",
        (Result.differs, "model_type=xlm-roberta, hidden_size=768", f"give an adapter for hub:{ENCODER}, with model_type=xlm-roberta, hidden_size=16"),
    ),
    "renamed column": (
        renamed_column,
        "xcopa th test",
        (Result.differs, "columns premise, choice1, choice2, question, gold, idx, changed", "name an older revision in conf/datasets"),
    ),
    "other count": (
        other_count,
        "xcopa th test",
        (Result.differs, "499 rows in 1 file", "data.nonstandard=true"),
    ),
    "no file": (
        removed("datasets", "cambridgeltl/xcopa", "th/test-00000-of-00001.parquet"),
        "xcopa th test",
        (Result.missing, "no such file among", "the publisher may have renamed it"),
    ),
    "no parquet file": (
        cut,
        "xcopa th test",
        (Result.differs, "th/test-00000-of-00001.parquet is no parquet file", "older revision"),
    ),
    "no encoder": (
        removed("models", ENCODER),
        "encoder, xlmr",
        (Result.missing, "no such repository", "check the id"),
    ),
    "other layers": (
        other_layers,
        "encoder, xlmr",
        (Result.differs, "24 layers, 512 positions, model.safetensors, tokenizer.json", "type model.layers=24"),
    ),
    "other architecture": (
        other_type,
        "encoder, xlmr",
        (Result.differs, "a model of type gpt2", "one of bert, xlm-roberta, deberta-v2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_one_thing_wrong_is_one_row(tree: Path, tmp_path: Path, name: str) -> None:
    break_it, what, (result, found, remedy) = WRONG[name]
    break_it(tree)
    # Other adapters are compared with the encoder's description, and do not fit one of another type.
    (wrong,) = [row for row in unmet(checked(tree, tmp_path)) if name != "other architecture" or row.what == what]
    assert (wrong.what, wrong.result) == (what, result)
    assert found in wrong.found
    assert remedy in wrong.remedy


class Gated(HubStandin):
    """Wants terms to be accepted before it shows Thai."""

    def find(self, kind: str, repo: str, name: str) -> Revision:
        if repo == adapter("th"):
            raise Refusal("GatedRepo", "accept the terms")
        return super().find(kind, repo, name)


def test_permission_is_asked_for_by_name(right: Path, tmp_path: Path) -> None:
    with Gated(right) as hub:
        (wrong,) = unmet(check(inputs_of([compose(XLMR)], tmp_path), Hub(hub.url)))
    assert (wrong.result, wrong.found) == (Result.missing, "it asks for permission")
    assert wrong.remedy == f"accept the terms on the page of {adapter('th')}, then log in with hf auth login"


def test_without_a_network_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="the hub cannot be reached") as error:
        check(inputs_of([compose(XLMR)], tmp_path), Hub(NOBODY))
    assert "\n" not in str(error.value)


def test_an_adapter_of_our_own_is_its_runs_state(tree: Path, tmp_path: Path) -> None:
    """mBERT's it, ta and th are trained here: three runs, and the text that they read."""
    typed = ("task=copa", "model=mbert", "schedule=std")
    training = language_adapters(compose(typed), "th")[0].producer()
    assert training is not None
    thai = f"run:{run_id(training)}"
    articles = Layout(
        "mlm", "wikimedia/wikipedia", "20231101.{language}/train-00000-of-00001.parquet", {"text": Value("string")}
    )
    publish(tree, "wikipedia", "th", "train", [{"text": "ข้อความ"}], articles)
    with HubStandin(tree) as hub:
        before = {found.what: found for found in check(inputs_of([compose(typed)], tmp_path), Hub(hub.url))}
        synthetic.write_run(tmp_path, training, {"wikipedia": {"th": {"accuracy": 50.0}}})
        after = {found.what: found for found in check(inputs_of([compose(typed)], tmp_path), Hub(hub.url))}
    todo = before["language adapter th, mbert"]
    assert (todo.place, todo.expected, todo.result) == (thai, "done", Result.missing)
    assert todo.found.startswith("missing")
    assert todo.remedy == "python -m fun.run task=mlm lang=th model=mbert"
    assert before["wikipedia th"].found == "1 file with these columns"
    assert before["wikipedia it"].result is Result.missing
    assert after["language adapter th, mbert"] == todo._replace(found="done", result=Result.ok, remedy="")
    assert set(before) - set(after) == {"wikipedia th"}  # nobody reads it any more


def test_a_language_without_an_adapter_is_missing(right: Path, tmp_path: Path) -> None:
    (wrong,) = unmet(checked(right, tmp_path, *XLMR, "language_adapters.th=null"))
    assert (wrong.what, wrong.place, wrong.found) == ("language adapter th, xlmr", "null", "none")


def test_the_miniature_world_needs_no_hub(tmp_path: Path) -> None:
    (found,) = check(inputs_of([compose([])], tmp_path), Hub(NOBODY))
    assert (found.what, found.result) == ("the miniature world", Result.ok)


PAPER = """
title: Tiny
datasets:
  xcopa: {label: XCOPA, overrides: task=copa, targets: [th, it], metrics: {accuracy: Accuracy}}
targets:
  tiny:
    kind: table
    title: Tiny
    overrides: adapter=madx
    replicates: [seed=0, seed=1]
    columns: {source: {}, average: {}}
    panels: {xlmr: {label: XLM-R, overrides: model=xlmr}}
    rows: {std: {label: Ada, overrides: schedule=std}}
    blocks: [[xcopa]]
"""

MAIN = """
import sys
from pathlib import Path
from reproduce.__main__ import main
status = main(["preflight", "tiny", "--results", "results"], Path(sys.argv[1]))
print("status", status)
sys.exit(main(["preflight", "tiny", "--json", "--results", "results"], Path(sys.argv[1])))
"""


def test_the_command_prints_a_table_and_json(tree: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    (papers / "fun").mkdir(parents=True)
    (papers / "fun/paper.yaml").write_text(PAPER, encoding="utf-8")
    other_count(tree)
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    with HubStandin(tree) as hub:
        environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", MAIN, str(papers)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (1, "")
    table, _, printed = done.stdout.partition("status 1\n")
    assert table.splitlines()[-1] == "tiny: 26 ok, 0 missing, 1 differs"
    assert [line.split()[-1] for line in table.splitlines() if "xcopa th test" in line] == ["differs"]
    shown = json.loads(printed)
    assert shown["counts"] == {"ok": 26, "missing": 0, "differs": 1}
    (wrong,) = [found for found in shown["checks"] if found["result"] != "ok"]
    assert wrong["what"] == "xcopa th test"
    assert not (tmp_path / "home").exists()  # nothing enters the cache
