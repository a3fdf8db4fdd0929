"""Every combination once, with a shrunken budget (`make test-long`)."""

import json
from pathlib import Path

import pytest

from tests.conftest import SHORT, Cli, metrics_of, openings_of
from tests.test_unfreezing import parsed

TOP_DOWN = "1:11 2:10 3:9 4:8 5:7 6:6 7:5 8:4 9:3 10:2 11:1 12:0"
ALL = "11,10,9,8,7,6,5,4,3,2,1,0"

# (schedule, paper, k) -> openings written by hand; ? is chosen while training.
OPENINGS = {
    ("std", "fun", 1): f"1:{ALL}",
    ("std", "fun_official", 1): f"1:{ALL}",
    ("gu", "fun", 1): TOP_DOWN,
    ("gu", "fun_official", 1): TOP_DOWN,
    ("gu", "fun", 3): "1:11 4:10 7:9 10:8 13:7 16:6 19:5 22:4 25:3 28:2 31:1 34:0",
    ("gu", "fun_official", 3): "1:11 6:10 9:9 12:8 15:7 18:6 21:5 24:4 27:3 30:2 33:1 36:0",
    ("rev", "fun", 1): "1:11 2:0 3:1 4:2 5:3 6:4 7:5 8:6 9:7 10:8 11:9 12:10",
    ("rev", "fun_official", 1): "1:11,0 2:1 3:2 4:3 5:4 6:5 7:6 8:7 9:8 10:9 11:10",
    ("rev", "fun", 3): "1:11 4:0 7:1 10:2 13:3 16:4 19:5 22:6 25:7 28:8 31:9 34:10",
    ("rev", "fun_official", 3): "1:11 3:0 6:1 9:2 12:3 15:4 18:5 21:6 24:7 27:8 30:9 33:10",
    ("lpft", "fun", 1): f"2:{ALL}",
    ("lpft", "fun_official", 1): f"1:{ALL}",
    ("lpft", "fun", 3): f"4:{ALL}",
    ("lpft", "fun_official", 3): f"3:{ALL}",
    ("rand", "fun", 1): "1:11 2:? 3:? 4:? 5:? 6:? 7:? 8:? 9:? 10:? 11:? 12:?",
    ("rand", "fun_official", 1): "1:11 2:? 3:? 4:? 5:? 6:? 7:? 8:? 9:? 10:? 11:?",
    ("rand", "fun", 3): "1:11 4:? 7:? 10:? 13:? 16:? 19:? 22:? 25:? 28:? 31:? 34:?",
    ("rand", "fun_official", 3): "1:11 3:? 6:? 9:? 12:? 15:? 18:? 21:? 24:? 27:? 30:? 33:?",
    ("fun", "fun", 1): "1:11 2:? 3:? 4:? 5:? 6:? 7:? 8:? 9:? 10:? 11:? 12:?",
    ("fun", "fun_official", 1): "1:11 2:? 3:? 4:? 5:? 6:? 7:? 8:? 9:? 10:? 11:?",
    ("fun", "fun", 3): "1:11 4:? 7:? 10:? 13:? 16:? 19:? 22:? 25:? 28:? 31:? 34:?",
    ("fun", "fun_official", 3): "1:11 3:? 6:? 9:? 12:? 15:? 18:? 21:? 24:? 27:? 30:? 33:?",
}


@pytest.mark.long
@pytest.mark.parametrize("task", ["squad", "mnli", "copa"])
def test_two_adapters_and_six_schedules_finish_on_every_task(cli: Cli, task: str) -> None:
    common = (f"task={task}", "adapter=madx,lora", "evaluate.languages=[en,l1,l7]")
    cli("-m", *common, "schedule=gu,lpft,fun,rand,rev", *SHORT)
    cli("-m", *common, "schedule=std", *[item for item in SHORT if not item.startswith("schedule")])
    records = cli.records().values()
    assert len(records) == 12
    for record in records:
        ((_, languages),) = metrics_of(record).items()
        assert list(languages) == ["en", "l1", "l7"]
        assert (
            record["stages"][-1]["trainable"] > record["stages"][0]["trainable"]
            or record["config"]["schedule"]["name"] == "std"
        )


@pytest.mark.long
@pytest.mark.parametrize("paper", ["fun", "fun_official"])
def test_recorded_openings_are_those_written_by_hand(tmp_path: Path, paper: str) -> None:
    cli = Cli(tmp_path / "results")
    common = ("task=copa", f"paper={paper}", "train.updates=40", "train.eval_every=40", "train.batch_size=4",
              "fisher.batches=1", "evaluate.languages=[en]")  # fmt: skip
    cli("-m", *common, "schedule=gu,lpft,fun,rand,rev", "schedule.k=1,3")
    cli(*common, "schedule=std")
    records = cli.records().values()
    assert len(records) == 11
    for record in records:
        schedule = record["config"]["schedule"]
        expected = parsed(OPENINGS[schedule["name"], paper, schedule.get("k", 1)])
        found = openings_of(record)
        assert [update for update, _ in found] == [update for update, _ in expected], schedule
        for (_, layers), (_, known) in zip(found, expected, strict=True):
            assert not known or set(known) <= set(layers), schedule
        assert sorted(layer for _, layers in found for layer in layers) == list(range(12))
        print(json.dumps({"schedule": schedule, "unfreezing": found}))
