"""The README's code does what the README says."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, SHORT, Cli

TEXT = (ROOT / "README.md").read_text()


def snippet(heading: str) -> str:
    """The Python block under a heading."""
    section = TEXT.split(f"## {heading}")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return code


def test_the_trainer_example_unfreezes_top_down(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import torch
    from adapters import AutoAdapterModel
    from transformers import AutoTokenizer, TrainingArguments

    from fun import world

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = world.folder("encoder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoAdapterModel.from_pretrained(folder, dtype=torch.float32)
    rows = world.load_split("mnli", "en", "validation")[:8]
    encoded = [tokenizer(row["premise"], row["hypothesis"], padding="max_length", max_length=32) for row in rows]
    data = [dict(inputs) | {"labels": row["label"]} for inputs, row in zip(encoded, rows, strict=True)]
    arguments = TrainingArguments(str(tmp_path), max_steps=23, report_to=[], use_cpu=True, disable_tqdm=True)
    names = {"model": model, "data": data, "arguments": arguments}
    exec(snippet("Scheduled unfreezing in your own Trainer").replace("k=800", "k=2"), names)
    history = names["unfreeze"].history
    assert [(stage.update, sorted(stage.open)) for stage in history] == [
        (2 * i + 1, list(range(11 - i, 12))) for i in range(12)
    ]


def test_the_new_schedule_is_one_file_and_runs(tmp_path: Path) -> None:
    code = snippet("A new schedule is one file")
    for name in ("fun", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "fun/unfreezing/schedules/middle.py").write_text(code)
    (tmp_path / "conf/schedule/middle.yaml").write_text("name: middle\nk: 5\ndelay: 0\noffset: 1\n")
    cli = Cli(tmp_path / "results", cwd=tmp_path)
    environment = cli.environment() | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "fun.run", "schedule=middle", "task=copa", *SHORT, "dry_run=true"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    order = [layer for opening in json.loads(done.stdout)["unfreezing"] for layer in opening["layers"]]
    assert order == [11, 6, 5, 7, 4, 8, 3, 9, 2, 10, 1, 0]


def test_files_and_choices_that_the_readme_names_exist() -> None:
    for path in re.findall(r"`((?:conf|fun|docs|slurm)/[\w/.]+)`", TEXT) + re.findall(r"\]\((docs/[\w.]+)\)", TEXT):
        assert (ROOT / path).exists() or path == "conf/schedule/middle.yaml", path
    for group in ("model", "task", "adapter", "schedule", "data_size", "fisher", "mask", "paper", "logger"):
        (row,) = re.findall(rf"^\| `{group}` \|(.*)\|$", TEXT, flags=re.MULTILINE)
        named = set(re.findall(r"`(\w+)`", row))
        assert {file.stem for file in (ROOT / "conf" / group).glob("*.yaml")} <= named, group
    targets = re.findall(r"(?:`|^    )make ([a-z0-9-]+)(?![\w/-])", TEXT, flags=re.MULTILINE)
    assert {"demo", "test", "table1", "world"} <= set(targets)
    makefile = (ROOT / "Makefile").read_text()
    rules = {name for names in re.findall(r"^([\w -]+):", makefile, flags=re.MULTILINE) for name in names.split()}
    assert set(targets) <= rules
