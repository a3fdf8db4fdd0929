"""What `python -m reproduce collect` verifies and refreshes, for each kind of target."""

from pathlib import Path

import pytest

from fun.results import RunFolder
from reproduce.__main__ import main
from reproduce.plan import configuration
from tests import synthetic

SEARCH = ("sweep=lr_k", "task=copa", "model=micro", "schedule=gu", "sweep.k=[1,2]", "sweep.seeds=[100,101]")


def finish(root: Path, *overrides: str) -> RunFolder:
    """A finished tuning run with a file of predictions."""
    config = configuration(("task=copa", "model=micro", "schedule=gu", *overrides, "evaluate.languages=[]"))
    run = RunFolder(config.folder(root), config.run_id)
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
