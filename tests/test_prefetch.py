"""Everything that a target needs is downloaded beforehand: the run then works without a network."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fun import world
from fun.inputs import compose
from reproduce.carry.inputs import prefetch
from tests import hub_datasets, tiny_models
from tests.conftest import ROOT, Cli, metrics_of
from tests.hub_standin import HubStandin, revision_folder

TARGETS = ROOT / "tests" / "data" / "prefetch"
ADAPTERS = [f"AdapterHub/xlm-roberta-base-{language}-wiki_pfeiffer" for language in ("en", "vi", "tr")]
REPRODUCE = "import sys; from pathlib import Path; from reproduce.__main__ import main; sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repositories of the target's run: encoder, three language adapters, XNLI."""
    root = tmp_path_factory.mktemp("hub")
    rows = world.load_split("mnli", "en", "test")
    for dataset, language, split, count in (
        ("mnli", "en", "train", 24),
        ("mnli", "en", "validation", 8),
        *(("xnli", language, "test", 8) for language in ("en", "vi", "tr")),
    ):
        hub_datasets.publish(root, dataset, language, split, rows[:count])
    hub_datasets.write_cards(root)
    texts = [row[column] for row in rows for column in ("premise", "hypothesis")]
    repo, build = tiny_models.MODELS["xlmr"]
    encoder = build(revision_folder(root, "models", repo), texts)
    for adapter, language in zip(ADAPTERS, ("en", "vi", "tr"), strict=True):
        tiny_models.language_adapter(revision_folder(root, "models", adapter), encoder, language)
    return root


def reproduce(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", REPRODUCE, str(TARGETS), *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


def test_after_prefetch_a_run_needs_no_network(tree: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path / "results")
    offline = cli.environment() | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    lacking = tmp_path / "hub"
    shutil.copytree(tree, lacking)
    shutil.rmtree(lacking / "models" / ADAPTERS[2])
    with HubStandin(lacking) as hub:
        online = {name: value for name, value in offline.items() if name != "HF_HUB_OFFLINE"} | {"HF_ENDPOINT": hub.url}
        incomplete = reproduce(online, "prefetch", "one")
        assert incomplete.returncode == 1, incomplete.stderr
        assert f"failed: hub:{ADAPTERS[2]}@main" in incomplete.stdout
        assert "8 of 9 inputs from the hub are in its cache" in incomplete.stdout
        shutil.copytree(tree / "models" / ADAPTERS[2], lacking / "models" / ADAPTERS[2])
        complete = reproduce(online, "prefetch", "one")
        assert complete.returncode == 0, complete.stdout
        assert "9 of 9 inputs from the hub are in its cache" in complete.stdout
        weights = [request for request in hub.requests if request.startswith("GET") and "resolve" in request]
        assert len(weights) == len(set(weights))  # nothing was downloaded twice
    assert not (tmp_path / "results").exists()
    planned = reproduce(offline, "plan", "one", "--commands")
    command = [sys.executable, *shlex.split(planned.stdout)[1:]]
    ran = subprocess.run(command, env=offline, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (record,) = cli.records().values()
    assert {language: list(found) for language, found in metrics_of(record)["xnli"].items()} == {
        language: ["accuracy"] for language in ("en", "vi", "tr")
    }
    assert record["inputs"]["encoder"] == "hub:FacebookAI/xlm-roberta-base@main"


def test_what_the_hub_does_not_have_is_told_once() -> None:
    """Universal Dependencies: three splits in three languages, one line."""
    encoder = f"model.source=folder:{world.folder('encoder')}"
    typed = ["task=udpos", "model=mbert", encoder, "adapter=full", "schedule=std", "paper=l2"]
    ((name, told),) = prefetch([compose([*typed, "evaluate.languages=[en,de,zh]"])])
    assert name == "udpos"
    assert told.startswith("udpos (en, train) is not on the hub: get Universal Dependencies 2.5")
    assert "\n" not in told
