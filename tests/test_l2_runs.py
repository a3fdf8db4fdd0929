"""The second paper's methods on its tasks from end to end: real text from files, the same by id from the hub, and killed."""

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from datasets import Value

from fun.data import FolderSource
from fun.models.files import FISHER
from tests import tiny_models
from tests.conftest import Cli, metrics_of, outcome, real_data
from tests.hub_datasets import Layout, publish, write_cards
from tests.hub_standin import HubStandin, revision_folder
from tests.test_hub import User, finished
from tests.test_resume import steps, wait_for_update

MODELS = ("mbert", "xlmr")
TASKS = {"mnli": "xnli", "wikiann": "wikiann", "udpos": "udpos", "paws": "pawsx"}
METHODS = {
    "vanilla": ("adapter=full",),
    "l2": ("adapter=full", "regularizer=l2", "regularizer.strength=0.1"),
    "ewc": ("adapter=full", "regularizer=ewc", "regularizer.strength=0.1", "regularizer.languages=[zh]"),
    "prompts": ("adapter=prompts",),
    "bitfit": ("adapter=bitfit",),
    "houlsby": ("adapter=houlsby", "adapter.size=4"),
}
KEPT = {"vanilla": "model/", "l2": "model/", "ewc": "model/", "prompts": "", "bitfit": "biases/", "houlsby": ""}
"""The folder of what was trained, where it is not an adapter's."""

TYPED = (
    *("schedule=std", "data_size=1k", "data_size.examples=48", "data.nonstandard=true", "device=cpu", "threads=1"),
    *("task.max_length=24", "train.lr=0.001", "train.lr_schedule=linear", "train.batch_size=16", "train.updates=3"),
    *("train.epochs=null", "train.eval_every=3"),
)
FISHER_RUN = ("task=fisher", "lang=zh", "task.blocks=3", "task.max_length=24", "device=cpu", "threads=1")


# Real text, in English and Chinese


def beginning(source: str, target: Path, items: int, separator: str = "\n") -> None:
    """The first items of a real file."""
    parts = (real_data() / source).read_text(encoding="utf-8").split(separator)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(separator.join([*parts[:items], ""]), encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four tasks' files, as their publishers have them, and running text.

    Of what does not lie here in a language another stands in: English PAWS-X for training, Afrikaans for both
    languages of WikiAnn.
    """
    root = tmp_path_factory.mktemp("files")
    beginning("mnli/multinli_1.0_train.jsonl", root / "mnli" / "multinli_1.0_train.jsonl", 80)
    for name in ("en.dev", "en.test", "zh.test"):
        beginning(f"xnli/{name}.tsv", root / "xnli" / f"{name}.tsv", 21)
    for language, split in (("en", "train"), ("en", "dev"), ("en", "test"), ("zh", "test")):
        beginning(f"wikiann/af/{split}", root / "wikiann" / language / split, 60, "\n\n")
    for name in ("train", "dev_2k", "test_2k"):
        beginning("pawsx/en/dev_2k.tsv", root / "pawsx" / "en" / f"{name}.tsv", 61)
    beginning("pawsx/zh/test_2k.tsv", root / "pawsx" / "zh" / "test_2k.tsv", 21)
    for name in ("en_partut-ud-train", "en_partut-ud-dev", "en_partut-ud-test"):
        beginning(f"udpos/treebanks/{name}.conllu", root / "udpos" / f"{name}.conllu", 60, "\n\n")
    beginning("ud/zh_pud-ud-test.conllu", root / "udpos" / "zh_pud-ud-test.conllu", 10, "\n\n")
    (root / "zh.txt").write_text("\n".join(texts(root, "zh")), encoding="utf-8")
    return root


def texts(root: Path, language: str) -> list[str]:
    rows = FolderSource(root, nonstandard=True).rows("udpos", language, "test")
    return [" ".join(row["tokens"]) for row in rows]


@pytest.fixture(scope="module")
def encoders(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny encoder of each model."""
    root = tmp_path_factory.mktemp("encoders")
    for model in MODELS:
        _, build = tiny_models.MODELS[model]
        build(root / model, texts(files, "en") + texts(files, "zh"))
    return root


def made(results: Path, kind: str) -> list[dict[str, Any]]:
    """The records of training runs, or of artifacts."""
    return [record for record in Cli(results).records().values() if record["kind"] == kind]


def typed(method: str, results: Path) -> tuple[str, ...]:
    """What a method is typed as; EWC names the one Fisher that lies below `results`."""
    origins = [f"+regularizer.origins.zh=run:{fisher['run_id']}" for fisher in made(results, "artifact")]
    return (*METHODS[method], *(origins if method == "ewc" else ()))


def check(record: dict[str, Any], task: str, method: str, results: Path) -> None:
    """Trained, evaluated in both languages, held where it is to be held; what was trained was kept."""
    ((dataset, languages),) = metrics_of(record).items()
    assert (dataset, languages.keys()) == (TASKS[task], {"en", "zh"})
    assert record["selected"]["update"] == 3
    (folder,) = results.glob(f"runs/{task}/*/*-{record['run_id']}")
    (validated,) = (line for line in steps(folder) if line["kind"] == "validation")
    if method in ("l2", "ewc"):
        assert validated["distance"] > 0 < validated["penalty"]
    else:
        assert "penalty" not in validated
    fishers = {key: value for key, value in record["inputs"].items() if key.startswith("fisher.")}
    assert fishers == ({f"fisher.{f['config']['lang']}": f"run:{f['run_id']}" for f in made(results, "artifact")}
                       if method == "ewc" else {})  # fmt: skip
    assert [name for name in record["files"] if name.startswith(KEPT[method]) and name.endswith(".safetensors")]


INSPECTED = {"mnli": "contradiction", "wikiann": "/B-", "udpos": "no word is lost", "paws": "0 (0)"}
QUICK = {("mbert", "ewc", "udpos"), ("xlmr", "prompts", "wikiann"), ("mbert", "bitfit", "paws"), ("xlmr", "l2", "mnli")}


@pytest.mark.parametrize(
    ("model", "method", "task"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.long) for case in product(MODELS, METHODS, TASKS)],
)
def test_a_method_on_real_files(
    model: str, method: str, task: str, files: Path, encoders: Path, tmp_path: Path
) -> None:
    cli, read = Cli(tmp_path), (f"model={model}", f"model.source=folder:{encoders / model}", f"data.root={files}")
    if method == "ewc":  # of running text, or of XNLI's test set
        cli(*FISHER_RUN, *read, *(["task.corpus=xnli", "data.nonstandard=true"] if model == "xlmr" else []))
    run = (f"task={task}", *read, *TYPED, *typed(method, tmp_path))
    cli(*run)
    (record,) = made(tmp_path, "training")
    check(record, task, method, tmp_path)
    if (model, method, task) in QUICK:
        assert INSPECTED[task] in cli("n=8", *run, module="fun.inspect").stdout


# The same from the hub


@pytest.fixture(scope="module")
def tree(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's repositories: both encoders, and all but the treebanks."""
    root = tmp_path_factory.mktemp("hub")
    source = FolderSource(files, nonstandard=True)
    for training, testing in (("mnli", "xnli"), ("wikiann", "wikiann"), ("pawsx", "pawsx")):
        for name, language, split in ((training, "en", "train"), (training, "en", "validation"),
                                      (testing, "en", "test"), (testing, "zh", "test")):  # fmt: skip
            publish(root, name, language, split, source.rows(name, language, split))
    articles = Layout("fisher", "wikimedia/wikipedia", "20231101.{language}/{split}-00000-of-00001.parquet",
                      {"text": Value("string")})  # fmt: skip
    publish(root, "wikipedia", "zh", "train", [{"text": text} for text in texts(files, "zh")], articles)
    write_cards(root)
    for model in MODELS:
        repo, build = tiny_models.MODELS[model]
        build(revision_folder(root, "models", repo), texts(files, "en") + texts(files, "zh"))
    return root


@pytest.mark.parametrize(
    ("model", "method"),
    [
        pytest.param(*case, marks=() if case == ("mbert", "l2") else pytest.mark.long)
        for case in product(MODELS, METHODS)
    ],
)
def test_a_method_on_every_task_by_id(
    model: str, method: str, tree: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process for the four tasks, and one for the Fisher; what the hub does not have comes from FUN_DATA."""
    monkeypatch.setenv("FUN_DATA", str(files))
    results = tmp_path / "results"
    with HubStandin(tree) as hub:
        user = User(hub.url, tmp_path / "home", results)
        if method == "ewc":
            finished(user.start("-m", "fun.run", *FISHER_RUN, f"model={model}"))
            (fisher,) = made(results, "artifact")
            assert fisher["inputs"]["wikipedia.zh.train"].startswith("hub:wikimedia/wikipedia@main/20231101.zh/")
            assert FISHER in fisher["files"]
        tasks = f"task={','.join(TASKS)}"
        chosen = (tasks, f"model={model}", "evaluate.languages=[en,zh]", *TYPED, *typed(method, results))
        finished(user.start("-m", "fun.run", "-m", *chosen))
        asked = "\n".join(hub.requests)
    records = {record["config"]["task"]["name"]: record for record in made(results, "training")}
    assert records.keys() == TASKS.keys()
    encoder = tiny_models.MODELS[model][0]
    for task, record in records.items():
        check(record, task, method, results)
        training = next(key for name, key in record["inputs"].items() if name.endswith(".en.train"))
        assert training.startswith("hub:") == (task != "udpos")
        assert record["inputs"]["encoder"] == f"hub:{encoder}@main"
        assert encoder in record["environment"]["hub"]
    assert "universal" not in asked.lower()
    assert "udpos" not in asked


# Killed


SHORT = ("schedule=std", "train.lr=0.001", "train.lr_schedule=linear", "train.updates=24", "train.eval_every=6",
         "train.batch_size=8", "checkpoint.every=5", "evaluate.languages=[en,l1]")  # fmt: skip
SMALL = ("task=fisher", "lang=l1", "task.blocks=2", "task.max_length=32")
KILLED = {"vanilla": "mnli", "l2": "udpos", "ewc": "wikiann", "prompts": "paws", "bitfit": "udpos", "houlsby": "mnli"}


def killed(run: tuple[str, ...], results: Path, *updates: int) -> None:
    """Started, killed behind each of these updates and started again, at last to its end."""
    cli = Cli(results)
    for update in updates:
        process = cli.start(*run)
        wait_for_update(process, cli, update)
        process.kill()
        process.communicate()
        assert process.returncode == -9, "it ended before it could be killed"
    assert "resuming after update" in cli(*run).stderr


@pytest.mark.long
@pytest.mark.parametrize("method", KILLED)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(method: str, tmp_path: Path) -> None:
    """Before the first checkpoint, between two, behind the last; its log says the same of distance and penalty.

    Held, it is held by the pretrained weights, and not by those of the checkpoint.
    """
    whole, other, task = tmp_path / "whole", tmp_path / "killed", KILLED[method]
    run = (f"task={task}", *SHORT, *(part.replace("zh", "l1") for part in METHODS[method]))
    if method == "ewc":
        Cli(whole)(*SMALL)
        shutil.copytree(whole / "runs" / "fisher", other / "runs" / "fisher")
        (fisher,) = made(whole, "artifact")
        run = (*run, f"+regularizer.origins.l1=run:{fisher['run_id']}")
    Cli(whole)(*run)
    killed(run, other, 3, 8, 13, 22)
    (expected,), (record,) = made(whole, "training"), made(other, "training")
    assert outcome(record) == outcome(expected)
    logs = [steps(next(results.glob(f"runs/{task}/*/*"))) for results in (whole, other)]
    assert logs[0] == logs[1]
    assert all(("penalty" in line) == (method in ("l2", "ewc")) for line in logs[0] if line["kind"] == "validation")


@pytest.mark.long
def test_a_fisher_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    run = (*SMALL, "task.blocks=60", "checkpoint.minutes=0.0001")
    whole, other = tmp_path / "whole", tmp_path / "killed"
    Cli(whole)(*run)
    killed(run, other, 3, 17, 31, 45)
    (expected,), (record,) = made(whole, "artifact"), made(other, "artifact")
    assert outcome(record) == outcome(expected)
    assert record["files"][FISHER] == expected["files"][FISHER]
