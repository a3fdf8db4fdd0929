"""What a process inherits changes nothing: another repository's GIT_DIR, a HOME that cannot be written, a file that
is called like a library.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from fun.machine import environment
from tests.conftest import ROOT, Cli
from tests.hub_standin import HubStandin
from tests.test_run import only, wandb_steps

WORLD = ("task=copa", "schedule=std", "train.updates=2", "train.eval_every=2", "evaluate.languages=[en]")


def repository(folder: Path) -> str:
    """A new repository with one commit of what is in `folder`; the commit."""
    folder.mkdir(exist_ok=True)
    git = ["git", "-C", str(folder), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", folder.name]):
        subprocess.run([*git, *arguments], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def in_checkout(folder: Path) -> ModuleType:
    """fun.machine.environment, as it lies in the checkout `folder`."""
    file = folder / "fun/machine/environment.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(Path(environment.__file__).read_bytes())
    spec = importlib.util.spec_from_file_location("copied_environment", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("is_checkout", [True, False])
def test_the_code_version_is_the_checkouts_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_checkout: bool
) -> None:
    copied = in_checkout(tmp_path / "checkout")
    commit = repository(tmp_path / "checkout") if is_checkout else None
    repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "checkout"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert copied.code_version() == {"git_sha": commit, "git_dirty": None if commit is None else False}


def nowhere(tmp_path: Path) -> Path:
    """A folder that nobody can make, root included."""
    file = tmp_path / "file"
    file.touch()
    return file / "home"


@pytest.mark.long
def test_a_run_needs_no_home(cli: Cli, tmp_path: Path) -> None:
    names = ("HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR")
    inherited = {name: value for name, value in cli.environment().items() if name not in names}
    command = [sys.executable, "-m", "fun.run", *WORLD, "logger=wandb"]
    ran = subprocess.run(
        command, cwd=ROOT, env=inherited | {"HOME": str(nowhere(tmp_path))}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    folder, _ = only(cli)
    (view,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert wandb_steps(view) == [1, 2]


READ = """
from fun.data.sources import Parquet
from fun.errors import HubError
from fun.machine.hub import Repository
try:
    Parquet("here", Repository("someone/some-data", None, "dataset"), "train.parquet")
except HubError as error:
    print(error)
"""


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "hub/datasets/someone/some-data/main"
    folder.mkdir(parents=True)
    pd.DataFrame({"text": ["a"]}).to_parquet(folder / "train.parquet")
    with HubStandin(tmp_path / "hub") as hub:
        inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
        inherited |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(nowhere(tmp_path))}
        told = subprocess.run([sys.executable, "-c", READ], env=inherited, capture_output=True, text=True).stdout
    assert told.startswith("here: ")
    assert told.count("\n") == 1
    assert "type export HF_HOME=FOLDER with a folder that can" in told


@pytest.mark.parametrize(
    "typed", [("fun.run", "dry_run=true"), ("fun.inspect", "n=1"), ("reproduce", "plan", "demo", "--commands")]
)
def test_a_file_called_like_a_library_is_not_taken_for_it(tmp_path: Path, typed: tuple[str, ...]) -> None:
    working = tmp_path / "working"
    working.mkdir()
    for name in ("datasets", "torch", "json", "numpy", "yaml"):
        (working / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    module, *arguments = typed
    Cli(tmp_path / "results", cwd=working)(*arguments, module=module)
