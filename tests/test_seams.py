"""A new paper, task, tuning, regularizer, mask and schedule are files in their rooms, and touch no file of the product.

The files lie in data/seams as they would lie in a checkout; they are laid over a copy of it, and the paper's table is
made from the command line.
"""

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.conftest import ROOT, Cli

SEAMS = ROOT / "tests/data/seams"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A checkout with the toys in it."""
    checkout = tmp_path / "checkout"
    for name in ("conf", "fun", "reproduce"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in SEAMS.rglob("*.*"):
        if file.is_file() and file.suffix != ".pyc":
            target = checkout / file.relative_to(SEAMS)
            assert not target.exists(), f"{file} would replace a file of the product"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return Cli(tmp_path / "results", cwd=checkout)


def run(cli: Cli, *arguments: str) -> str:
    command = [sys.executable, "-m", "reproduce", *arguments]
    environment = cli.environment() | {"PYTHONPATH": str(cli.cwd)}
    done = subprocess.run(command, cwd=cli.cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def accuracy(record: dict[str, Any], language: str) -> float:
    value: float = record["evaluations"]["micronli"][language]["metrics"]["accuracy"]
    return value


def test_a_toy_paper_from_the_command_line_to_its_table(cli: Cli) -> None:
    run(cli, "run", "toy/table1")
    records = list(cli.records().values())
    assert len(records) == 5
    std, carousel, norms = (
        next(record for record in records if matches(record["config"]))
        for matches in (
            lambda config: (
                config["adapter"]["name"] == "madx" and config["schedule"]["name"] == "std" and "mask" not in config
            ),
            lambda config: config["schedule"]["name"] == "carousel",
            lambda config: config["adapter"]["name"] == "norms",
        )
    )
    shrink = {
        record["config"]["regularizer"]["language"]: record for record in records if "regularizer" in record["config"]
    }
    assert shrink.keys() == {"l1", "l2"}
    assert {record["config"]["mask"]["name"] for record in shrink.values()} == {"odd"}
    # 24 examples are 3 updates of 8: a layer each, from the top.
    assert [(stage["update"], stage["open"]) for stage in carousel["stages"]] == [
        (1, [11]),
        (4, [10]),
        (7, [9]),
        (10, [8]),
    ]
    # 64 scales, 64 shifts, and a head of 64 · 2 + 2.
    assert [(stage["open"], stage["trainable"]) for stage in norms["stages"]] == [([], 258)]

    run(cli, "table", "toy/table1")
    (file,) = cli.results.rglob("table1.csv")
    lines = {(line["row"], line["column"]): line for line in csv.DictReader(file.open())}
    expected = {
        **{
            (name, "source"): accuracy(record, "en")
            for name, record in (("std", std), ("carousel", carousel), ("norms", norms))
        },
        **{
            (name, "average"): fmean(accuracy(record, x) for x in ("l1", "l2"))
            for name, record in (("std", std), ("carousel", carousel), ("norms", norms))
        },
        ("shrink", "source"): accuracy(shrink["l2"], "en"),
        ("shrink", "average"): fmean(accuracy(shrink[language], language) for language in ("l1", "l2")),
    }
    assert {place: float(lines[place]["mean"]) for place in expected} == {
        place: pytest.approx(value, abs=1e-6) for place, value in expected.items()
    }
    quoted = lines["quoted", "average"]
    assert (quoted["mean"], quoted["published_mean"]) == ("", "40.00")
    assert (lines["std", "source"]["published_mean"], lines["std", "source"]["n"]) == ("60.00", "1")
    # The anchor paper's table of the same name is where it was.
    assert "Table 1 on the miniature world" in run(cli, "table", "table1", "--model", "micro")
