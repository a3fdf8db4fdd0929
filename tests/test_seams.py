"""A new paper, task, tuning, regularizer, mask and schedule are files in their rooms, and touch no file of the product.

The files lie in data/seams as they would lie in a checkout; they are laid over a copy of it, and the paper's table is
made from the command line.
"""

import csv
import shutil
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.conftest import ROOT, Cli
from tests.waiting import run

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


COMMANDS = """
import shlex, sys
from reproduce.__main__ import main
sys.exit(max(main(shlex.split(typed)) for typed in sys.argv[1:]))
"""


def reproduce(cli: Cli, *commands: str) -> str:
    """What commands print, one after the other in one process."""
    environment = cli.environment() | {"PYTHONPATH": str(cli.cwd)}
    done = run([sys.executable, "-c", COMMANDS, *commands], cli.cwd, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def accuracy(record: dict[str, Any], language: str) -> float:
    value: float = record["evaluations"]["micronli"][language]["metrics"]["accuracy"]
    return value


def test_a_toy_paper_from_the_command_line_to_its_table(cli: Cli) -> None:
    # The anchor paper's table of the same name is where it was.
    told = reproduce(cli, "run toy/table1", "table toy/table1", "table table1 --model micro")
    assert "Table 1 on the miniature world" in told
    records = list(cli.records().values())
    assert len(records) == 4
    runs = {
        (record["config"]["adapter"]["name"], record["config"].get("regularizer", {}).get("language")): record
        for record in records
    }
    std, norms = runs["madx", None], runs["norms", None]
    shrink = {language: runs["madx", language] for language in ("l1", "l2")}
    assert {record["config"]["mask"]["name"] for record in shrink.values()} == {"odd"}
    # 24 examples are 3 updates of 8: a layer each, from the top.
    for record in shrink.values():
        assert [(stage["update"], stage["open"]) for stage in record["stages"]] == [
            (1, [11]),
            (4, [10]),
            (7, [9]),
            (10, [8]),
        ]
    # 64 scales, 64 shifts, and a head of 64 · 2 + 2.
    assert [(stage["open"], stage["trainable"]) for stage in norms["stages"]] == [([], 258)]

    (file,) = cli.results.rglob("table1.csv")
    lines = {(line["row"], line["column"]): line for line in csv.DictReader(file.open())}
    expected = {
        **{(name, "source"): accuracy(record, "en") for name, record in (("std", std), ("norms", norms))},
        **{
            (name, "average"): fmean(accuracy(record, x) for x in ("l1", "l2"))
            for name, record in (("std", std), ("norms", norms))
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
