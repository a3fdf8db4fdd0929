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
from fun.machine.hub import Hub
from reproduce.carry.inputs import Check, preflight
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
        return preflight([compose(typed or XLMR)], results, Hub(hub.url))


def unmet(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def test_everything_right_is_found_without_a_download(right: Path, tmp_path: Path) -> None:
    with HubStandin(right, page=3) as hub:
        checks = preflight([compose(XLMR)], tmp_path, Hub(hub.url))
        requests = list(hub.requests)
    assert not unmet(checks)
    # The encoder, COPA's two splits, of which one is the English test set too, XCOPA in 11 languages, 12 adapters.
    assert len(checks) == 1 + 2 + 11 + 12
    found = {check.name: check for check in checks}
    layers = "12 layers, 512 positions, model.safetensors, tokenizer.json"
    assert found["encoder"] == Check("encoder", f"hub:{ENCODER}@main", True, layers)
    thai = found["xcopa.th.test"]
    assert thai.place == "hub:cambridgeltl/xcopa@main/th/test-*.parquet"
    assert thai.told == "premise, choice1, choice2, question, label: 500 rows"
    assert found["language_adapter.th"].told == "fits its encoder, pytorch_adapter.bin"
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
    "no adapter": (removed("models", adapter("th")), "language_adapter.th", "no repository", "hf auth login"),
    "no revision": (no_revision, "language_adapter.th", "no revision main", "give a branch, tag or commit"),
    "no weights": (
        removed("models", adapter("th"), "pytorch_adapter.bin"),
        "language_adapter.th",
        "neither adapter.safetensors nor pytorch_adapter.bin",
        "another repository",
    ),
    "adapter of another encoder": (
        other_encoder,
        "language_adapter.th",
        "hidden_size=768, but this one has hidden_size=16",
        f"give one that was trained for hub:{ENCODER}",
    ),
    "renamed column": (
        renamed_column,
        "xcopa.th.test",
        "the columns premise, choice1, choice2, question, gold, idx, changed",
        "name an older revision in conf/datasets",
    ),
    "other count": (other_count, "xcopa.th.test", "499 rows, expected 500", "data.nonstandard=true"),
    "no file": (
        removed("datasets", "cambridgeltl/xcopa", "th/test-00000-of-00001.parquet"),
        "xcopa.th.test",
        "has no th/test-*.parquet",
        "the publisher may have renamed it",
    ),
    "no parquet file": (cut, "xcopa.th.test", "th/test-00000-of-00001.parquet of", "older revision"),
    "no encoder": (removed("models", ENCODER), "encoder", "no repository", "check the id"),
    "other layers": (other_layers, "encoder", "its encoder has layers=24, expected 12", "type model.layers=24"),
    "other architecture": (other_type, "encoder", "a model of type gpt2", "one of bert, xlm-roberta, deberta-v2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_thing_wrong_is_one_line(tree: Path, tmp_path: Path, name: str) -> None:
    break_it, where, found, remedy = WRONG[name]
    break_it(tree)
    # Adapters are compared with the encoder's description, and do not fit one that is not there or of another type.
    of_encoder = where == "encoder"
    (wrong,) = [check for check in unmet(checked(tree, tmp_path)) if not of_encoder or check.name == where]
    assert wrong.name == where
    assert found in wrong.told
    assert remedy in wrong.told
    assert "\n" not in wrong.told


class Gated(HubStandin):
    """Wants terms to be accepted before it shows Thai."""

    def find(self, kind: str, repo: str, name: str) -> Revision:
        if repo == adapter("th"):
            raise Refusal("GatedRepo", "accept the terms")
        return super().find(kind, repo, name)


def test_permission_is_asked_for_by_name(right: Path, tmp_path: Path) -> None:
    with Gated(right) as hub:
        (wrong,) = unmet(preflight([compose(XLMR)], tmp_path, Hub(hub.url)))
    assert f"{adapter('th')}@main asks for permission: accept its terms on its page" in wrong.told


def test_without_a_network_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="the hub cannot be reached") as error:
        preflight([compose(XLMR)], tmp_path, Hub(NOBODY))
    assert "\n" not in str(error.value)


def test_an_adapter_of_our_own_is_its_runs_state(tree: Path, tmp_path: Path) -> None:
    """mBERT's it, ta and th are trained here: three runs, and the text that they read."""
    typed = ("task=copa", "model=mbert", "schedule=std")
    training = compose(language_adapters(compose(typed), "th")[0].producer())
    articles = Layout(
        "mlm", "wikimedia/wikipedia", "20231101.{language}/train-00000-of-00001.parquet", {"text": Value("string")}
    )
    publish(tree, "wikipedia", "th", "train", [{"text": "ข้อความ"}], articles)
    with HubStandin(tree) as hub:
        before = {check.name: check for check in preflight([compose(typed)], tmp_path, Hub(hub.url))}
        synthetic.write_run(tmp_path, training, {}, marks=())
        after = {check.name: check for check in preflight([compose(typed)], tmp_path, Hub(hub.url))}
    missing = before["language_adapter.th"]
    assert (missing.place, missing.ok) == (f"run:{run_id(training)}", False)
    assert "type python -m fun.run task=mlm lang=th model=mbert first" in missing.told
    assert before["wikipedia.th.train"].told == "text: 1 files"
    assert not before["wikipedia.it.train"].ok
    assert after["language_adapter.th"] == missing._replace(ok=True, told="there")
    assert set(before) - set(after) == {"wikipedia.th.train"}  # nobody reads it any more


def test_a_language_without_an_adapter_is_missing(right: Path, tmp_path: Path) -> None:
    (wrong,) = unmet(checked(right, tmp_path, *XLMR, "language_adapters.th=null"))
    assert (wrong.name, wrong.place) == ("language_adapter.th", "nowhere (th)")
    assert "type language_adapters.th=train, or =hub:<namespace>/<name>" in wrong.told


def test_the_miniature_world_needs_no_hub(tmp_path: Path) -> None:
    checks = preflight([compose([])], tmp_path, Hub(NOBODY))
    assert {"encoder", "micronli.en.train", "micronli.l7.test"} <= {check.name for check in checks}
    assert not unmet(checks)


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
    assert table.splitlines()[-1] == "tiny: 25 ok, 1 wrong"
    assert [line for line in table.splitlines() if line.startswith("WRONG")] == [
        "WRONG  xcopa.th.test  hub:cambridgeltl/xcopa@main/th/test-*.parquet"
    ]
    described = json.loads(printed)
    assert described["counts"] == {"ok": 25, "wrong": 1}
    assert [check["name"] for check in described["checks"] if not check["ok"]] == ["xcopa.th.test"]
    assert not (tmp_path / "home").exists()  # nothing enters the cache
