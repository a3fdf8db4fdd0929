"""Figures: what they show, what they say where runs are missing, and that they are the same each time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fun.errors import ConfigError, FunError
from fun.inputs import compose
from fun.registry import Registry
from fun.results import file_checksum
from fun.unfreezing import FixedOrder
from reproduce.__main__ import main
from reproduce.declare import papers
from reproduce.declare.figures import Figure as Declared
from reproduce.declare.figures import Part
from reproduce.declare.parts import Needed, merged
from reproduce.declare.tables import Table
from reproduce.numbers.curves import grouped, moving_average
from reproduce.runs.store import Absent, Results, missing, results_of
from reproduce.show.figures import drawing, style
from reproduce.show.figures.style import STYLES
from tests import synthetic
from tests.golden import make

UPDATES = range(1, 60, 10)

# Section 5.2's ten schedules, layer 11 always first, as the authors' code lists them.
TEN = """10 9 8 7 6 5 4 3 2 1 0 | 10 2 6 5 8 3 7 0 1 9 4 | 9 6 2 4 5 8 7 10 1 3 0 | 9 7 0 10 5 8 2 4 1 3 6
| 10 5 4 7 1 9 0 8 3 2 6 | 10 8 1 6 7 2 0 5 4 9 3 | 10 4 7 5 3 0 6 2 9 8 1 | 10 1 0 3 9 6 8 2 5 7 4
| 10 9 3 5 0 4 1 8 6 7 2 | 10 7 0 3 4 8 1 2 6 5 9"""

FIGURES = """
title: A tiny paper
datasets:
  microqa: {label: MicroQA, overrides: task=squad, targets: [l1, l2], metrics: {f1: F1, em: EM}}
  micronli: {label: MicroNLI, overrides: task=mnli, targets: [l1], metrics: {accuracy: Accuracy}}
targets:
  bars:
    kind: relative
    title: Bars
    overrides: adapter=madx data_size=full
    replicates: &seeds [seed=0, seed=1]
    reference: std
    published: {table: "1", model: micro, adapter: madx, data_size: full}
    parts: {micro: {label: micro, overrides: model=micro, datasets: [microqa]}}
    rows: &rows
      std: {label: Ada, overrides: schedule=std, published: {method: std}}
      gu: {label: Ada+GU, overrides: schedule=gu, published: {method: gu}}
  lines: &lines
    kind: traces
    title: Lines
    overrides: adapter=madx data_size=full
    replicates: *seeds
    window: 3
    parts: {micro: {label: micro, overrides: model=micro, datasets: [microqa], fisher_every: 10}}
    rows: *rows
  groups:
    <<: *lines
    kind: groups
    title: Groups
    points: 1.0
  orders:
    kind: orders
    title: Orders
    overrides: adapter=madx data_size=full
    replicates: *seeds
    parts: {micro: {label: micro, overrides: model=micro, datasets: [microqa]}}
    rows: *rows
"""

PUBLISHED = """table,model,adapter,method,dataset,data_size,language,metric,mean,std,runs
1,micro,madx,std,microqa,full,avg,f1,50.5,,4
1,micro,madx,gu,microqa,full,avg,f1,48.0,,4
"""


# (schedule, seed) -> F1 in l1 and l2, the order of layers, the level of tr(F).
RUNS: dict[tuple[str, int], tuple[float, float, list[int], float]] = {
    ("std", 0): (40.0, 60.0, [3, 2, 1, 0], 1.0),  # transfer 50
    ("std", 1): (42.0, 62.0, [3, 2, 1, 0], 3.0),  # transfer 52
    ("gu", 0): (43.0, 60.0, [3, 1, 2, 0], 10.0),  # transfer 51.5
    ("gu", 1): (44.0, 60.4, [3, 0, 1, 2], 30.0),  # transfer 52.2
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A paper and the four runs that each of its figures needs."""
    (tmp_path / "paper.yaml").write_text(FIGURES)
    (tmp_path / "numbers.csv").write_text(PUBLISHED)
    for schedule, seed in RUNS:
        write_run(tmp_path, schedule, seed)
    return tmp_path


def write_run(folder: Path, schedule: str, seed: int, **changes: Any) -> Path:
    """A finished run of `RUNS`, and its step log."""
    l1, l2, order, level = RUNS[schedule, seed]
    named = make.identity(make.overrides(schedule, seed))
    path = folder / make.folder_name(make.overrides(schedule, seed))
    path.mkdir(exist_ok=True)
    lines = [{"kind": "train", "update": 1, "loss": 1.0}]
    lines += [{"kind": "fisher", "update": update, "mean_open": level} for update in UPDATES]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = {
        "stages": [
            {"update": 10 * m + 1, "open": sorted(order[: m + 1]), "scores": {}, "trainable": 100 * (m + 1)}
            for m in range(len(order))
        ],
        "validation": [{"update": 50, "metrics": {"f1": l1}}, {"update": 100, "metrics": {"f1": l2}}],
        "files": {"metrics.jsonl": file_checksum(path / "metrics.jsonl")},
        **changes,
    }
    measured = make.metrics({"l1": (l1, 0), "l2": (l2, 0)})
    make.write_record(path, make.content(named, measured, **content))
    return path


def target(folder: Path, name: str) -> Declared:
    declared = papers.load(folder).targets[name]
    assert isinstance(declared, Declared)
    return declared


def results(folder: Path, name: str, *, allow_marked: bool = False) -> Results:
    return results_of(target(folder, name).needed(), make.Records(folder, allow_marked))


def draw(folder: Path, name: str) -> Figure:
    shown = target(folder, name)
    return drawing.drawing(shown, results(folder, name)).draw()


def lose(folder: Path, schedule: str, seed: int) -> None:
    (folder / make.folder_name(make.overrides(schedule, seed)) / "record.json").unlink()


def curves(axes: Axes) -> list[list[float]]:
    return [[float(y) for y in np.asarray(line.get_ydata())] for line in axes.lines]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


# --- what is drawn ------------------------------------------------------------------------------------------


def test_bars_are_differences_of_means_beside_each_run_and_the_published_difference(folder: Path) -> None:
    (axes,) = draw(folder, "bars").axes
    spread, bar = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    # Means 51 and 51.85; the reference's sample std is √2.
    assert (spread.get_y(), spread.get_height()) == pytest.approx((-(2**0.5), 2 * 2**0.5))
    assert bar.get_height() == pytest.approx(0.85)
    runs, printed, zero = curves(axes)
    assert runs == pytest.approx([0.5, 1.2])
    assert (printed, zero) == ([-2.5], [0.0, 0.0])


def test_traces_are_runs_and_the_smoothed_mean_of_each_row(folder: Path) -> None:
    figure = draw(folder, "lines")
    (axes,) = figure.axes
    assert [set(curve) for curve in curves(axes)] == [{1.0}, {3.0}, {2.0}, {10.0}, {30.0}, {20.0}]
    assert [len(curve) for curve in curves(axes)] == [6, 6, 4, 6, 6, 4]
    assert axes.get_yscale() == "log"
    assert "Algorithm 2" in axes.get_ylabel()
    (legend,) = figure.legends
    assert "moving average over 3 points" in legend.get_title().get_text()


def test_groups_are_of_runs_whatever_their_schedule(folder: Path) -> None:
    above, below = draw(folder, "groups").axes
    legend = below.get_legend()
    assert legend is not None
    # Transfer 52.2, 52 and 51.5 are within a point of 52.2; 50 is not.
    assert [text.get_text() for text in legend.get_texts()] == ["51.9 (51.5 to 52.2), 3 runs", "50.0, 1 run"]
    best, worst = curves(above)
    assert best == pytest.approx([43 / 3] * 4)  # 3, 10 and 30, over windows of 3 of 6 points
    assert worst == [1.0] * 4
    assert curves(below) == [pytest.approx([43.0, 182.4 / 3]), [40.0, 60.0]]


def test_orders_are_runs_and_the_mean_layer_of_each_opening(folder: Path) -> None:
    (axes,) = draw(folder, "orders").axes
    agreed = [3, 2, 1, 0]
    assert curves(axes) == [agreed, agreed, agreed, [3, 1, 2, 0], [3, 0, 1, 2], [3, 0.5, 1.5, 1]]
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == [[1, 2, 3, 4]] * 6


@pytest.mark.parametrize("look", ["color", "line", "marker", "hatch"])
def test_styles_differ_in_colour_and_in_everything_else(look: str) -> None:
    assert len({repr(getattr(each, look)) for each in STYLES}) == len(STYLES)


def test_no_two_of_many_groups_look_alike() -> None:
    looks = [style.look(number) for number in range(40)]
    assert len({(repr(look.line), look.marker) for look in looks}) == len(looks)


@pytest.mark.parametrize(("name", "looks"), [("lines", {"-", "--"}), ("orders", {"-", "--"})])
def test_rows_differ_in_more_than_colour(folder: Path, name: str, looks: set[str]) -> None:
    (legend,) = draw(folder, name).legends
    assert {line.get_linestyle() for line in legend.get_lines()} == looks


@pytest.mark.parametrize("name", ["bars", "groups"])
def test_files_are_the_same_each_time(folder: Path, name: str) -> None:
    shown = target(folder, name)
    written = [drawing.write(shown, results(folder, name), folder / out) for out in ("first", "second")]
    assert [path.name for path in written[0]] == [f"{name}.png", f"{name}.pdf"]
    assert [path.read_bytes()[:4] for path in written[0]] == [b"\x89PNG", b"%PDF"]
    assert [path.read_bytes() for path in written[0]] == [path.read_bytes() for path in written[1]]


MATRIX = """
  squares:
    kind: matrix
    title: Squares
    overrides: adapter=madx data_size=full
    replicates: [seed=0, seed=1]
    parts: {micro: {label: micro, overrides: model=micro, datasets: [microqa]}}
    rows: {gu: {label: Ada+GU, overrides: schedule=gu}}
"""


def test_a_new_kind_of_figure_is_a_class_that_declares_and_one_that_draws(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers, "KINDS", Registry("targets", by="kind"))
    monkeypatch.setattr(drawing, "DRAWINGS", Registry("figures", by="kind"))

    @papers.KINDS.register("matrix")
    class Matrix(Declared):
        """F1 by run and language."""

    @drawing.DRAWINGS.register("matrix")
    class MatrixDrawing(drawing.Drawing[Matrix]):
        axis, reading = "run", "darker: higher"

        def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
            rows = self.rows(part)
            axes[0].imshow([[m["f1"] for m in run.record.metrics["microqa"].values()] for run in rows["gu"].done])
            drawing.say_missing(axes[0], rows)

    head = FIGURES.partition("\ntargets:")[0]
    (folder / "paper.yaml").write_text(f"{head}\ntargets:{MATRIX}")
    (axes,) = draw(folder, "squares").axes
    assert np.asarray(axes.images[0].get_array()).tolist() == [[43.0, 60.0], [44.0, 60.4]]
    lose(folder, "gu", 1)
    assert texts(draw(folder, "squares").axes[0]) == ["Ada+GU 1/2 runs: no mean"]


# --- what is missing ----------------------------------------------------------------------------------------


def test_no_bar_for_a_row_that_lacks_a_run(folder: Path) -> None:
    lose(folder, "gu", 1)
    (axes,) = draw(folder, "bars").axes
    assert len(axes.patches) == 1  # the spread of the reference
    assert texts(axes) == ["1/2"]
    assert curves(axes)[0] == pytest.approx([0.5])  # the run that is there


def test_a_run_without_a_language_has_a_bar_for_the_other_test_sets(folder: Path) -> None:
    other = "  other: {label: Other, overrides: task=squad, targets: [l1], metrics: {f1: F1}}\n"
    declared = FIGURES.replace("targets:\n", f"{other}targets:\n", 1).replace("[microqa]", "[microqa, other]", 1)
    (folder / "paper.yaml").write_text(declared)
    for (schedule, seed), (l1, *_) in RUNS.items():
        write_run(
            folder,
            schedule,
            seed,
            evaluations=make.evaluations({"microqa": {"l1": {"f1": l1}}, "other": {"l1": {"f1": l1}}}),
        )
    (axes,) = draw(folder, "bars").axes
    assert texts(axes) == ["Ada\n0/2", "0/2"]
    _, bar = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert (bar.get_center()[0], bar.get_height()) == pytest.approx((1.0, 2.5))  # 43.5 over 41


def test_nothing_is_relative_to_a_reference_that_lacks_a_run(folder: Path) -> None:
    lose(folder, "std", 0)
    (axes,) = draw(folder, "bars").axes
    assert not axes.patches
    assert texts(axes) == ["Ada\n1/2"]
    assert curves(axes) == [[-2.5], [0.0, 0.0]]  # the published difference, and zero


@pytest.mark.parametrize(("name", "left"), [("lines", [{1.0}, {3.0}, {2.0}, {10.0}]), ("orders", [{0, 1, 2, 3}] * 4)])
def test_no_mean_for_a_row_that_lacks_a_run(folder: Path, name: str, left: list[set[float]]) -> None:
    lose(folder, "gu", 1)
    (axes,) = draw(folder, name).axes
    assert [set(curve) for curve in curves(axes)] == left
    assert texts(axes) == ["Ada+GU 1/2 runs: no mean"]


def test_no_groups_while_a_run_is_missing(folder: Path) -> None:
    lose(folder, "gu", 1)
    above, below = draw(folder, "groups").axes
    assert texts(above) == ["3/4 runs: no groups"]
    assert [set(curve) for curve in curves(above)] == [{1.0}, {3.0}, {10.0}]
    assert below.get_legend() is None


@pytest.mark.parametrize("name", ["lines", "groups"])
@pytest.mark.parametrize("damage", ["altered", "lost"])
def test_a_step_log_that_is_not_the_records_is_a_damaged_run(folder: Path, name: str, damage: str) -> None:
    run = make.overrides("gu", 1)
    log = folder / make.folder_name(run) / "metrics.jsonl"
    log.write_text(log.read_text().replace("30.0", "31.0"))
    if damage == "lost":
        log.unlink()
    found = results(folder, name)
    assert isinstance(found[run], Absent)
    *_, reason, line = missing(target(folder, name).needed(), found)
    assert reason.startswith("# damaged: ")
    assert line == f"python -m fun.run {' '.join(run)} track.fisher_every=10 force=true"
    assert texts(draw(folder, name).axes[0]) in (["Ada+GU 1/2 runs: no mean"], ["3/4 runs: no groups"])


def test_a_run_without_tracking_serves_the_orders_but_not_the_traces(folder: Path) -> None:
    write_run(folder, "gu", 1, tracking={"fisher_every": 0, "fisher": {}})
    assert texts(draw(folder, "orders").axes[0]) == []
    assert texts(draw(folder, "lines").axes[0]) == ["Ada+GU 1/2 runs: no mean"]
    assert "# done, but without tr(F) along training" in missing(
        target(folder, "lines").needed(), results(folder, "lines")
    )


def test_estimates_that_do_not_compare_are_not_drawn_together(folder: Path) -> None:
    tracking = {"fisher_every": 10, "fisher": {"name": "exact", "batches": 10}}
    path = write_run(folder, "gu", 1, tracking=tracking)
    with pytest.raises(FunError, match=rf'^micro: .* do not compare: .*"exact"}} in {path.name}\.$'):
        draw(folder, "lines")


def test_marked_records_are_named_on_the_figure(folder: Path) -> None:
    write_run(folder, "gu", 1, marks=["synthetic"])
    assert texts(draw(folder, "orders").axes[0]) == ["Ada+GU 1/2 runs: no mean"]
    allowed = results(folder, "orders", allow_marked=True)
    orders = target(folder, "orders")
    shown = drawing.drawing(orders, allowed).draw()
    assert texts(shown.axes[0]) == []
    assert shown.get_suptitle() == "Orders\n(from records marked synthetic)"


def test_a_figure_without_any_run_is_refused_after_its_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figure", "figure5", "--model", "micro", "--results", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("python -m fun.run model=micro") == 24
    assert printed.err == "error: figure5-micro has nothing to draw: none of its 24 runs is there.\n"
    assert not (tmp_path / "figures").exists()


def test_a_figure_from_real_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *runs, lacking = papers.targets()["demo-orders"].needed()
    synthetic.write(tmp_path, {run.overrides: {"micronli": {"en": {"accuracy": 50.0}}} for run in runs})
    assert main(["figure", "demo-orders", "--results", str(tmp_path), "--allow-marked"]) == 0
    printed = capsys.readouterr().out
    assert f"python -m fun.run {' '.join(lacking.overrides)}\n" in printed
    assert printed.endswith("demo-orders.pdf\n")
    assert (tmp_path / "figures" / "fun" / "demo-orders.png").stat().st_size > 10_000


def test_a_table_is_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figure", "demo"]) == 2
    assert capsys.readouterr().err.startswith("error: 'demo' is not a figure: type python -m reproduce table demo.")


# --- the numbers --------------------------------------------------------------------------------------------


def test_grouping_takes_the_largest_and_all_within_a_point_of_it() -> None:
    transfer = {"a": 68.9, "b": 70.0, "c": 69.0, "d": 60.0, "e": 69.3, "f": 67.9, "g": 67.8}
    # 68.9 is near 69 but not within a point of 70, the best; 67.8 is not within a point of 68.9.
    assert grouped(transfer, 1.0) == [["b", "e", "c"], ["a", "f"], ["g"], ["d"]]
    assert grouped({}, 1.0) == []
    assert grouped({"x": 60.2, "y": 59.2}, 1.0) == [["x", "y"]]  # in floating point more than 1 apart


def test_moving_average_stands_in_the_middle_of_its_window() -> None:
    traces = [{1: 1.0, 11: 2.0, 21: 6.0, 31: 7.0}, {1: 3.0, 11: 4.0, 21: 8.0, 31: 9.0, 41: 100.0}]
    # Means 2, 3, 7, 8 at the updates that both have.
    assert moving_average(traces, 3, "here") == ([11, 21], [4.0, 6.0])
    with pytest.raises(FunError, match=r"^here: the runs share 4 measured updates; the moving average needs 5"):
        moving_average(traces, 5, "here")


# --- the declarations ---------------------------------------------------------------------------------------


def test_the_ten_fixed_schedules_are_those_of_the_authors() -> None:
    built = [compose([f"schedule=fixed{number}"]).schedule for number in range(10)]
    orders = [schedule.order for schedule in built if isinstance(schedule, FixedOrder)]
    assert orders == [tuple(map(int, order.split())) for order in TEN.split("|")]
    assert all(sorted(order) == list(range(11)) and order[0] in (9, 10) for order in orders)
    assert built[0].planned(12, 500, 100) == compose(["schedule=gu"]).schedule.planned(12, 500, 100)


def test_figures_add_what_the_plan_says_beyond_the_tables() -> None:
    paper = papers.load(papers.PAPERS / "fun")
    tables = configurations(
        run for table in paper.targets.values() if isinstance(table, Table) for run in table.needed()
    )
    beyond = {
        name: configurations(figure.needed()) - tables
        for name, figure in paper.targets.items()
        if isinstance(figure, Declared)
    }
    assert len(beyond["figure2"]) == 6
    assert {run[-1] for run in beyond["figure2"]} == {"schedule=lpft"}
    assert len(beyond["figure4"]) == 18
    assert beyond["figure3"] == beyond["figure5"] == set()


def configurations(needed: Iterator[Needed] | Sequence[Needed]) -> set[tuple[str, ...]]:
    return {run.overrides[:-1] for run in merged(needed)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bars": {"reference": "full"}}, "bars.reference: 'full' is not declared"),
        ({"lines": {"replicates": ["seed=0", "seed=0"]}}, "lines.replicates are .* expected none twice"),
        ({"orders": {"window": 3}}, "orders: window: Extra inputs are not permitted"),
        ({"orders": {"kind": "map"}}, "orders: found kind: map; valid: "),
        ({"orders": {"parts": {"p": {"label": "p", "overrides": "", "datasets": ["qa"]}}}}, "'qa' is not declared"),
        (
            {"orders": {"parts": {"p": {"label": "p", "overrides": "", "datasets": ["microqa", "micronli"]}}}},
            "microqa, micronli are tested by different runs",
        ),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, change: Mapping[str, Mapping[str, Any]], message: str) -> None:
    declared = yaml.safe_load(FIGURES)
    for name, fields in change.items():
        declared["targets"][name] |= fields
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(declared))
    with pytest.raises(ConfigError, match=message):
        papers.load(tmp_path)
