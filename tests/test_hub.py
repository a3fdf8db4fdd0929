"""Runs by id, through a stand-in of the hub: the real client, the publishers' layouts, tiny models.

The server serves, stops, and is gone; every process has the real huggingface_hub, transformers, adapters and
datasets libraries, which read HF_ENDPOINT and HF_HOME when they are imported.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fun import world
from tests import hub_datasets, tiny_models
from tests.conftest import ROOT, Cli, metrics_of, outcome
from tests.hub_standin import HubStandin, revision_folder
from tests.waiting import ended

LANGUAGES = ("en", "vi", "tr")
TASKS = {"squad": {"xquad": ["en", "vi"], "mlqa": ["en", "vi"]}, "mnli": {"xnli": ["en", "vi", "tr"]}}
TASKS["copa"] = {"xcopa": ["en", "tr", "vi"]}

TASKS_SORTED = {task: {dataset: sorted(names) for dataset, names in tests.items()} for task, tests in TASKS.items()}

DATASETS = {
    "squad": {"rajpurkar/squad": "main", "google/xquad": "main", "google/xtreme": "main"},
    "mnli": {"facebook/xnli": "main"},
    "copa": {"aps/super_glue": "refs/convert/parquet", "cambridgeltl/xcopa": "main"},
}
"""The hub's data sets that a task reads, and their revisions."""

ADAPTERS = {
    "mbert": {
        "en": "AdapterHub/bert-base-multilingual-cased-en-wiki_pfeiffer_relu",
        "vi": "AdapterHub/bert-base-multilingual-cased_vi_wiki_pfeiffer",
        "tr": "AdapterHub/bert-base-multilingual-cased_tr_wiki_pfeiffer",
    },
    "xlmr": {language: f"AdapterHub/xlm-roberta-base-{language}-wiki_pfeiffer" for language in LANGUAGES},
    # Nobody has published any for mDeBERTa: these stand for somebody's own.
    "mdeberta": {language: f"somebody/mdeberta-v3-base-{language}" for language in LANGUAGES},
}
QUICK = ("data.nonstandard=true", "train.epochs=null", "train.batch_size=8", "device=cpu", "threads=1")
SCHEDULES = {
    "squad": ("schedule=std", "train.updates=3", "train.eval_every=3"),
    "mnli": ("schedule=fun", "schedule.k=1", "fisher.batches=1", "train.updates=12", "train.eval_every=12"),
    "copa": ("schedule=gu", "schedule.k=1", "train.updates=12", "train.eval_every=6"),
}


NOBODY = "http://127.0.0.1:9"
"""An address where nothing answers."""


@dataclass(frozen=True)
class User:
    """Somebody who types commands: with a cache of their own, and the hub at `endpoint`."""

    endpoint: str
    home: Path
    results: Path
    offline: bool = False

    def environment(self) -> dict[str, str]:
        environment = Cli(self.results).environment() | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.home)}
        if not self.offline:
            del environment["HF_HUB_OFFLINE"]
        return environment

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *arguments], stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=self.environment()
        )

    def run(self, model: str, task: str, *more: str) -> "subprocess.Popen[str]":
        return self.start("-m", "fun.run", *arguments(model, task), *more)

    def record(self, model: str, task: str) -> dict[str, Any]:
        (found,) = (self.results / "runs" / task / model).glob("*/record.json")
        record: dict[str, Any] = json.loads(found.read_text())
        return record


def arguments(model: str, task: str) -> list[str]:
    languages = sorted({language for names in TASKS[task].values() for language in names})
    chosen = [f"model={model}", f"task={task}", f"evaluate.languages=[{','.join(languages)}]", *QUICK, *SCHEDULES[task]]
    if model == "mdeberta":
        chosen += [f"language_adapters.{language}=hub:{repo}" for language, repo in ADAPTERS[model].items()]
    return chosen


def finished(process: "subprocess.Popen[str]", status: int = 0) -> str:
    """What it said on standard error."""
    out, err = ended(process)
    assert process.returncode == status, f"status {process.returncode}\n{out}\n{err}"
    return err


def message(process: "subprocess.Popen[str]", status: int) -> str:
    """The one line of a command that failed."""
    lines = finished(process, status).splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert not any("Traceback" in line for line in lines)
    return errors[0]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's repositories: three encoders, language adapters for each, the seven data sets, and broken ones."""
    root = tmp_path_factory.mktemp("hub")
    hub_datasets.publish_world(root, train=24, validation=8, test=8)
    rows = world.load_split("mnli", "en", "test") + world.load_split("mnli", "l1", "test")
    texts = [row[column] for row in rows for column in ("premise", "hypothesis")]
    for model, (repo, build) in tiny_models.MODELS.items():
        encoder = build(revision_folder(root, "models", repo), texts)
        for language, adapter in ADAPTERS[model].items():
            with_head = model == "mbert" and language in ("tr", "vi")
            folder = revision_folder(root, "models", adapter)
            tiny_models.language_adapter(folder, encoder, language, head=with_head)
    tiny_models.e5small(revision_folder(root, "models", tiny_models.E5SMALL), texts)
    _publish_broken(root)
    return root


def _publish_broken(root: Path) -> None:
    def copy(source: str, name: str) -> Path:
        return Path(shutil.copytree(revision_folder(root, "models", source), revision_folder(root, "models", name)))

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    cut(copy("google-bert/bert-base-multilingual-cased", "broken/safetensors") / "model.safetensors")
    cut(copy("microsoft/mdeberta-v3-base", "broken/pickle") / "pytorch_model.bin")
    cut(copy("FacebookAI/xlm-roberta-base", "broken/tokenizer") / "tokenizer.json")
    (copy("FacebookAI/xlm-roberta-base", "broken/weightless") / "model.safetensors").unlink()
    config = copy("google-bert/bert-base-multilingual-cased", "broken/architecture") / "config.json"
    config.write_text(json.dumps({"model_type": "gpt2"}))
    cut(copy(ADAPTERS["mbert"]["tr"], "broken/adapter") / "pytorch_adapter.bin")


@pytest.fixture(scope="module")
def hub(tree: Path) -> Iterator[HubStandin]:
    with HubStandin(tree, page=3) as server:
        yield server


@dataclass(frozen=True)
class Online:
    """A run per pair of model and task with the hub reachable, and what was asked of it."""

    user: User
    records: Mapping[tuple[str, str], dict[str, Any]]
    requests: list[str]


CHOSEN = (("mbert", "squad"), ("mdeberta", "copa"))


@pytest.fixture(scope="module")
def online(hub: HubStandin, tmp_path_factory: pytest.TempPathFactory) -> Online:
    return runs_online(hub, tmp_path_factory.mktemp("online"), CHOSEN)


def runs_online(hub: HubStandin, folder: Path, pairs: tuple[tuple[str, str], ...]) -> Online:
    user = User(hub.url, folder / "home", folder / "results")
    seen = len(hub.requests)
    running = [user.run(model, task) for model, task in pairs]
    for process in running:
        finished(process)
    return Online(user, {pair: user.record(*pair) for pair in pairs}, hub.requests[seen:])


def check_record(hub: HubStandin, record: dict[str, Any], model: str, task: str) -> None:
    """All data sets and languages were evaluated, and the record says what was read."""
    assert {dataset: sorted(found) for dataset, found in metrics_of(record).items()} == TASKS_SORTED[task]
    repos = {tiny_models.MODELS[model][0]}
    repos |= {ADAPTERS[model][language] for names in TASKS[task].values() for language in names}
    commits = {repo: hub.commit("models", repo) for repo in repos}
    commits |= {f"datasets/{repo}": hub.commit("datasets", repo, revision) for repo, revision in DATASETS[task].items()}
    assert record["environment"]["hub"] == commits
    assert record["inputs"]["encoder"] == f"hub:{tiny_models.MODELS[model][0]}@main"
    dataset = next(iter(TASKS[task]))
    assert record["evaluations"][dataset]["vi"]["keys"]["language_adapter"] == f"hub:{ADAPTERS[model]['vi']}@main"
    assert record["marks"] == ["nonstandard"]


@pytest.mark.parametrize(("model", "task"), CHOSEN)
def test_a_run_by_id_downloads_trains_and_swaps(hub: HubStandin, online: Online, model: str, task: str) -> None:
    check_record(hub, online.records[model, task], model, task)


@pytest.mark.long
def test_every_model_does_every_task_by_id(hub: HubStandin, tmp_path: Path) -> None:
    for model in tiny_models.MODELS:
        pairs = tuple((model, task) for task in TASKS)
        found = runs_online(hub, tmp_path / model, pairs)
        for task in TASKS:
            check_record(hub, found.records[model, task], model, task)


TUNED = {
    ("mbert", "squad"): ["adapter=bitfit"],
    ("xlmr", "squad"): ["adapter=prompts"],
    ("mbert", "copa"): ["adapter=houlsby", "adapter.size=4"],
    ("e5small", "mnli"): ["adapter=madx"],
    ("e5small", "squad"): ["adapter=lora"],
    ("e5small", "copa"): ["adapter=full"],
    # XLM-R Large in everything but its size
    ("xlmr_large", "mnli"): ["adapter=full", "model.source=hub:FacebookAI/xlm-roberta-base", "model.layers=12",
                             "task.max_length=64", "train.slots=999", "train.eval_slots=4096", "keep=predictions"],
}  # fmt: skip


@pytest.mark.long
def test_what_needs_no_language_adapter_by_id(hub: HubStandin, tmp_path: Path) -> None:
    user = User(hub.url, tmp_path / "home", tmp_path / "results")
    values = ("train.lr=1e-3", "train.lr_schedule=linear")
    running = [user.run(*pair, *choices, *values) for pair, choices in TUNED.items()]
    for process in running:
        finished(process)
    for model, task in TUNED:
        record = user.record(model, task)
        assert {dataset: sorted(found) for dataset, found in metrics_of(record).items()} == TASKS_SORTED[task]
        weights = {Path(name).suffix for name in record["files"]} & {".safetensors"}
        assert bool(weights) == (model != "xlmr_large")
        assert not [repo for repo in record["environment"]["hub"] if repo.startswith("AdapterHub")]


def test_only_what_is_read_is_downloaded(online: Online) -> None:
    fetched = [request for request in online.requests if request.startswith("GET") and "/resolve/" in request]
    names = {request.rpartition("/")[2] for request in fetched if "/datasets/" not in request}
    assert names == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "spm.model",
        "model.safetensors",
        "pytorch_model.bin",
        "adapter_config.json",
        "pytorch_adapter.bin",
    }
    assert len(fetched) == len(set(fetched))  # each file once, though encoders, adapters and tasks share a cache
    # transformers looks for a converted copy of a pickle in the background, unless it reads a local folder.
    assert not [request for request in online.requests if "refs%2Fpr" in request or "discussions" in request]
    assert not [request for request in online.requests if request.startswith("POST /api/models")]


@pytest.mark.parametrize("offline", [False, pytest.param(True, marks=pytest.mark.long)])
def test_without_the_hub_the_cache_gives_the_same_run(online: Online, tmp_path: Path, offline: bool) -> None:
    """The server does not answer, and HF_HUB_OFFLINE is unset, or set."""
    user = User(NOBODY, online.user.home, tmp_path / "results", offline)
    pair = ("mbert", "squad") if offline else ("mdeberta", "copa")
    finished(user.run(*pair))
    assert outcome(user.record(*pair)) == outcome(online.records[pair])


def test_what_cannot_be_had_ends_in_one_line(hub: HubStandin, tmp_path: Path) -> None:
    """A language adapter that was cut off, which is read before anything trains."""
    unlucky = User(hub.url, tmp_path / "home", tmp_path / "results")
    untrained = unlucky.run("mbert", "mnli", "language_adapters.tr=hub:broken/adapter")
    assert "broken/adapter cannot be read" in message(untrained, 1)
    assert not list(unlucky.results.rglob("metrics.jsonl")), "trained before the language adapters were read"


REPORT = """
import json, sys
from pathlib import Path
from fun.errors import FunError
from fun.models.encoders import load_encoder
from fun.models.language_adapters import load_language_adapter

def attempt(load, *arguments):
    try:
        load(*arguments)
    except FunError as error:
        return type(error).__name__, str(error)
    return "nothing", "raised"

found = {name: attempt(load_encoder, *arguments) for name, arguments in json.loads(sys.argv[1]).items()}
module = load_encoder("hub:google-bert/bert-base-multilingual-cased").module
for name, (language, origin) in json.loads(sys.argv[2]).items():
    found[name] = attempt(load_language_adapter, module, language, origin, Path("results"))
print(json.dumps(found))
"""


def test_whatever_is_wrong_with_a_repository_is_told_in_one_line(hub: HubStandin, tmp_path: Path) -> None:
    encoders = {
        "cut": ["hub:broken/safetensors"],
        "pickle": ["hub:broken/pickle"],
        "tokenizer": ["hub:broken/tokenizer"],
        "weightless": ["hub:broken/weightless"],
        "architecture": ["hub:broken/architecture"],
        "absent": ["hub:somebody/nothing"],
        "revision": ["hub:google-bert/bert-base-multilingual-cased", "v9"],
        "e5small": [f"hub:{tiny_models.E5SMALL}"],
        "good": ["hub:FacebookAI/xlm-roberta-base", hub.commit("models", "FacebookAI/xlm-roberta-base")],
    }
    adapters = {
        "adapter cut": ["tr", "hub:broken/adapter"],
        "adapter absent": ["tr", "hub:somebody/nothing"],
        "adapter revision": ["tr", f"hub:{ADAPTERS['mbert']['tr']}@v9"],
        "adapter of another": ["tr", f"hub:{ADAPTERS['xlmr']['tr']}"],
        "adapter of none": ["tr", "hub:google-bert/bert-base-multilingual-cased"],
    }
    user = User(hub.url, tmp_path / "home", tmp_path / "results")
    process = user.start("-c", REPORT, json.dumps(encoders), json.dumps(adapters))
    out, err = ended(process)
    assert process.returncode == 0, err
    found = json.loads(out.splitlines()[-1])
    expected = {
        "cut": ("HubError", "broken/safetensors cannot be read"),
        "pickle": ("HubError", "broken/pickle cannot be read"),
        "tokenizer": ("HubError", "broken/tokenizer cannot be read (its tokenizer"),
        "weightless": ("HubError", "has neither model.safetensors nor pytorch_model.bin"),
        "architecture": ("ConfigError", "a model of type gpt2; expected one of bert"),
        "absent": ("ConfigError", "no repository somebody/nothing"),
        "revision": ("ConfigError", "has no revision v9"),
        "e5small": ("nothing", "raised"),
        "good": ("nothing", "raised"),
        "adapter cut": ("HubError", "broken/adapter cannot be read"),
        "adapter absent": ("ConfigError", "no repository somebody/nothing"),
        "adapter revision": ("ConfigError", "has no revision v9"),
        "adapter of another": ("ConfigError", "model_type=xlm-roberta, but this one has model_type=bert"),
        "adapter of none": ("HubError", "has no adapter_config.json"),
    }
    assert {name: kind for name, (kind, _) in found.items()} == {name: kind for name, (kind, _) in expected.items()}
    assert str(user.home / "hub" / "models--broken--safetensors") in found["cut"][1]  # what to delete
    for name, (_, text) in expected.items():
        assert text in found[name][1]
        assert "\n" not in found[name][1]
