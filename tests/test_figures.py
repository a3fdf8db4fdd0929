"""Figures: what they show, that they are the same each time, and what is said where runs are missing."""

import json
from pathlib import Path

import pytest

from fun.errors import FunError
from reproduce import figures
from reproduce.figures import Panel, draw, draw_orders, draw_trace, moving_average
from reproduce.plan import Found, Results, found, needed_runs
from tests.golden import make

UPDATES = range(1, 60, 10)


def openings(order: list[int], k: int) -> list[dict[str, object]]:
    return [{"update": m * k + 1, "layers": [layer], "scores": {}} for m, layer in enumerate(order)]


ORDERS = {
    ("gu", 0): [3, 2, 1, 0],
    ("gu", 1): [3, 2, 1, 0],
    ("fun", 0): [3, 1, 2, 0],
    ("fun", 1): [3, 0, 1, 2],
}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Runs of std, gu and fun with orders and tracked tr(F): 1.0 and 3.0 by seed, ten times that for gu."""
    values = make.VALUES["std", 0]
    for schedule in ("std", "gu", "fun"):
        for seed in (0, 1):
            run = make.overrides(schedule, seed)
            order = ORDERS.get((schedule, seed), [3])
            fields = make.content(make.identity(run), make.metrics(values), unfreezing=openings(order, 10), marks=[])
            folder = tmp_path / make.folder_name(run)
            make.write_record(folder, fields)
            level = (1.0 + 2.0 * seed) * (10.0 if schedule == "gu" else 1.0)
            write_log(folder, [(update, level) for update in UPDATES])
    return tmp_path


def write_log(folder: Path, points: list[tuple[int, float]]) -> None:
    lines = [{"kind": "train", "update": 1, "loss": 1.0}]
    lines += [
        {"kind": "fisher", "update": update, "estimator": "algorithm2", "open": [3], "mean_open": value}
        for update, value in points
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def look_up(root: Path) -> Results:
    return found(needed_runs(make.TARGET), make.Records(root))


def panel(root: Path, *rows: str) -> Panel:
    results = look_up(root)
    runs: dict[str, dict[str, Found]] = {}
    for row in rows:
        runs[row] = {}
        for seed in (0, 1):
            result = results[make.overrides(row, seed)]
            assert isinstance(result, Found)
            runs[row][f"seed={seed}"] = result
    return Panel("micro-microqa", "micro, MicroQA", runs)


@pytest.mark.parametrize("kind", ["orders", "trace"])
def test_files_are_written_and_the_same_each_time(records: Path, tmp_path: Path, kind: str) -> None:
    first = draw(kind, make.TARGET, look_up(records), tmp_path / "first")
    second = draw(kind, make.TARGET, look_up(records), tmp_path / "second")
    assert [path.name for path in first] == [f"golden-{kind}-micro-microqa.{end}" for end in ("png", "pdf")]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert first[1].read_bytes().startswith(b"%PDF")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_orders_show_each_opening_and_merge_runs_that_agree(records: Path) -> None:
    gu, fun = draw_orders(panel(records, "gu", "fun")).axes
    assert [line.get_xydata().tolist() for line in gu.lines] == [[[1, 3], [11, 2], [21, 1], [31, 0]]]
    assert [text.get_text() for text in gu.texts] == ["● all runs"]
    assert {text.get_text() for text in fun.texts} == {"● seed 0", "■ seed 1"}
    assert [[round(y) for _, y in line.get_xydata()] for line in fun.lines] == [[3, 1, 2, 0], [3, 0, 1, 2]]
    assert len({(line.get_linestyle(), line.get_marker()) for line in fun.lines}) == 2


def test_labels_of_lines_that_end_together_do_not_cover_each_other(records: Path) -> None:
    run = make.overrides("fun", 1)
    fields = make.content(
        make.identity(run), make.metrics(make.VALUES["std", 0]), unfreezing=openings([3, 2, 1, 0], 10)
    )
    make.write_record(records / make.folder_name(run), fields)
    heights = sorted(text.xy[1] for text in draw_orders(panel(records, "fun")).axes[0].texts)
    assert len(heights) == 2
    assert heights[1] - heights[0] >= figures.LABEL_LAYERS - 1e-9


def test_trace_shows_runs_and_their_smoothed_mean(records: Path) -> None:
    (axes,) = draw_trace(panel(records, "std", "gu"), window=3).axes
    values = [set(line.get_ydata()) for line in axes.lines]
    assert values == [{1.0}, {3.0}, {2.0}, {10.0}, {30.0}, {20.0}]
    assert list(axes.lines[0].get_xdata()) == list(UPDATES)
    assert axes.get_yscale() == "log"
    assert "Algorithm 2" in axes.get_ylabel()
    legend = axes.get_legend()
    assert legend is not None
    assert "moving average over 3 points" in legend.get_title().get_text()


def test_moving_average_stands_in_the_middle_of_its_window() -> None:
    traces = [{1: 1.0, 11: 2.0, 21: 6.0, 31: 7.0}, {1: 3.0, 11: 4.0, 21: 8.0, 31: 9.0, 41: 100.0}]
    # Means 2, 3, 7, 8 at the updates that both have.
    assert moving_average(traces, 3) == ([11, 21], [4.0, 6.0])
    with pytest.raises(FunError, match="4 common updates; the moving average needs 5"):
        moving_average(traces, 5)


def test_missing_runs_are_named_with_their_commands(records: Path, tmp_path: Path) -> None:
    run = make.overrides("gu", 1)
    (records / make.folder_name(run) / "record.json").unlink()
    with pytest.raises(FunError, match="needs 1 more of 4 runs") as raised:
        draw("orders", make.TARGET, look_up(records), tmp_path / "figures")
    assert str(raised.value).endswith(f"python -m fun.run {' '.join(run)} track.fisher_every=10")
    assert not (tmp_path / "figures").exists()


def test_a_run_without_tracking_serves_the_orders_but_not_the_trace(records: Path, tmp_path: Path) -> None:
    run = make.overrides("gu", 1)
    tracking = {"fisher_every": 0, "fisher": {}, "languages": {}}
    values = make.metrics(make.VALUES["gu", 1])
    fields = make.content(make.identity(run), values, unfreezing=openings([3, 2], 10), tracking=tracking)
    make.write_record(records / make.folder_name(run), fields)
    result = look_up(records)[run]
    assert isinstance(result, Found)
    assert result.lacks == "without tr(F) along training"
    assert draw("orders", make.TARGET, look_up(records), tmp_path / "figures")
    with pytest.raises(FunError, match="needs 1 more of 4 runs"):
        draw("trace", make.TARGET, look_up(records), tmp_path / "figures")


def test_an_undeclared_figure_is_refused(records: Path, tmp_path: Path) -> None:
    with pytest.raises(FunError, match="declares no figure 'map'"):
        draw("map", make.TARGET, look_up(records), tmp_path)
