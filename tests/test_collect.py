"""What `python -m reproduce collect` verifies and refreshes, for each kind of target."""

from pathlib import Path

import pytest

from fun.inputs import run_folder
from fun.results import RunFolder
from reproduce.__main__ import main
from reproduce.runs.store import configuration
from tests import synthetic

SEARCH = (
    "sweep=lr_k",
    "task=copa",
    "model=micro",
    "schedule=gu",
    "sweep.grid={schedule.k:[1,2]}",
    "sweep.seeds=[100,101]",
)


def finish(root: Path, *overrides: str) -> RunFolder:
    """A finished tuning run with a file of predictions."""
    config = configuration(("task=copa", "model=micro", "schedule=gu", *overrides, "evaluate.languages=[]"))
    run = run_folder(config, root)
    with run.begin() as attempt:
        attempt.write_bytes("predictions/en.parquet", b"as written")
        attempt.finish(synthetic.body(config, {}, marks=()))
    return run


def test_the_runs_of_a_search_and_of_a_sweep_are_verified_with_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(tmp_path, "schedule.k=1", "seed=100")
    spoilt = finish(tmp_path, "schedule.k=2", "seed=100")
    assert main(["collect", *SEARCH, "--results", str(tmp_path)]) == 0
    assert "2 of 4 runs are done and as they were written" in capsys.readouterr().out
    (spoilt.path / "predictions" / "en.parquet").write_bytes(b"as altered")
    assert main(["collect", *SEARCH, "--results", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "1 of 4 runs are done and as they were written" in told
    assert f"damaged: {spoilt.path / 'predictions' / 'en.parquet'} has " in told
    sweep = ("task=copa", "model=micro", "schedule=gu", "schedule.k=1,2", "seed=100")
    assert main(["collect", *sweep, "--results", str(tmp_path)]) == 1
    assert "1 of 2 runs are done and as they were written" in capsys.readouterr().out


def score(root: Path, schedule: str, seed: int, **accuracy: float) -> None:
    """A finished run of the sweep with this accuracy in each language."""
    config = configuration((*SWEEP, f"schedule={schedule}", f"seed={seed}"))
    metrics = {"microcopa": {language: {"loss": 1.0, "accuracy": value} for language, value in accuracy.items()}}
    synthetic.write_run(root, config, metrics, marks=())


SWEEP = ("task=copa", "model=micro", "evaluate.languages=[en,l1,l2]")


def test_the_results_of_a_sweep_are_shown_by_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(tmp_path, "gu", 0, en=80.0, l1=70.0, l2=60.0)
    score(tmp_path, "gu", 1, en=82.0, l1=71.0, l2=65.0)
    score(tmp_path, "fun", 0, en=75.0, l1=50.0, l2=52.0)
    score(tmp_path, "fun", 1, en=77.0, l1=50.0)
    assert main(["collect", *SWEEP, "schedule=gu,fun,std", "seed=0,1", "--results", str(tmp_path)]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    # By hand: the averages of gu are 65 and 68; the std of two values is their difference over the root of 2.
    rows = [
        ["microcopa", "microcopa"],
        ["accuracy", "accuracy"],
        [*SWEEP, "n", "en", "average", "of", "2"],
        ["schedule=gu", "2", "81.00±1.41", "66.50±2.12"],
        ["schedule=fun", "2", "76.00±1.41", "1/2"],
        ["schedule=std", "2", "0/2", "0/2"],
    ]
    assert shown[2:] == rows
    assert main(["collect", *SWEEP, "schedule=gu", "seed=1", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["·", "1", "82.00", "68.00"]


def test_a_record_that_is_gone_is_told_and_the_table_refreshed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = finish(tmp_path, "schedule.k=1", "seed=100")
    (gone.path / "record.json").unlink()
    assert main(["collect", *SEARCH, "demo", "--results", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "0 of 10 runs are done and as they were written" in told  # by hand: 4 of the search, 6 of the demo
    assert "damaged: attempt 1 finished, but record.json is gone" in told
    assert (tmp_path / "tables" / "fun" / "demo.csv").is_file()


def test_a_paper_is_collected_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "fun", "--model", "micro", "--results", str(tmp_path)]) == 0
    assert "0 of 144 runs" in capsys.readouterr().out
    # Of table1-micro and figure2-micro to figure5-micro one is a table.
    assert [path.name for path in sorted(tmp_path.rglob("*.*"))] == ["table1-micro.csv", "table1-micro.tex"]
