"""The search of section 4.2: its runs, the rule that selects from them, and what `hparams=selected` makes of it."""

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fun.config import RunConfig
from fun.errors import ConfigError, RunError
from fun.inputs import compose, run_folder, run_id, search
from fun.results import RunFolder, local_job
from fun.sweep import expand
from reproduce.__main__ import main
from reproduce.declare.parts import Needed
from reproduce.runs.store import configuration
from reproduce.start.search import FAILED, best_mean_validation, searches
from tests import synthetic
from tests.conftest import SHORT, Cli, metrics_of, queue

# The first point that the miniature world refuses, of the paper's grid: 11 openings of 25 updates, and one update more.
TOO_LATE = (
    "sweep=lr_k tries schedule.k=25: schedule=gu opens its last layer at update 276, but training has "
    "120 updates: type a smaller schedule.k or train.updates=276 or more; or 'sweep.grid={schedule.k:[…]}'"
)

PAPER_LR, PAPER_K = (1e-4, 2e-4, 5e-4, 8e-4), (25, 50, 100, 800, 1000)  # section 4.2

SMALL = (
    "sweep.grid={train.lr:[0.002,0.004,0.008],schedule.k:[1,2,5]}",
    "sweep.seeds=[100,101]",
    "sweep.keep={train.lr:[]}",
)
TYPED = ("task=copa", "model=micro", "schedule=gu", *SMALL)

# (lr, k) -> the best validation accuracies of seeds 100 and 101. By hand: (0.004, 2) has the highest mean.
SCORES = {(lr, k): (70.0, 71.0) for lr in (0.002, 0.004, 0.008) for k in (1, 2, 5)} | {(0.004, 2): (72.0, 90.0)}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUN_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def finish(root: Path, config: RunConfig, score: float) -> RunFolder:
    """A finished tuning run: validated, tested in no language."""
    run = run_folder(config, root)
    chosen = {"update": 1, "metric": "accuracy", "value": score}
    with run.begin() as attempt:
        attempt.finish(synthetic.body(config, {}, marks=()) | {"selected": chosen})
    return run


def finish_search(root: Path, scores: Mapping[tuple[float, int], Iterable[float]] = SCORES) -> None:
    _, runs = search((*TYPED, "+sweep=lr_k"))
    for config in runs:
        both = list(scores[config.train.lr, config.schedule.k])
        finish(root, config, both[config.seed - 100])


@pytest.mark.parametrize(
    ("overrides", "lr", "k"),
    [
        (["task=mnli", "schedule=gu"], PAPER_LR, PAPER_K),
        (["task=squad", "schedule=fun"], PAPER_LR, PAPER_K),
        (["task=mnli", "schedule=std"], PAPER_LR, ()),
        (["task=mnli", "schedule=lpft", "train.lr=3e-4"], (), PAPER_K),
        (["task=mnli", "schedule=rand", "schedule.k=50"], PAPER_LR, ()),
        (["task=copa", "schedule=gu"], (), PAPER_K),  # "on all datasets except COPA"
        (["task=copa", "schedule=std"], (), ()),
    ],
)
def test_the_grid_is_the_papers(overrides: list[str], lr: tuple[float, ...], k: tuple[int, ...]) -> None:
    found, runs = search(["model=xlmr", *overrides, "+sweep=lr_k"])
    assert found.grid == {name: values for name, values in (("train.lr", lr), ("schedule.k", k)) if values}
    assert found.seeds == (100, 101, 102, 103)
    count = max(len(lr), 1) * max(len(k), 1) * 4 if lr or k else 0
    assert len(runs) == count
    assert len({run_id(run) for run in runs}) == count


def test_a_search_may_be_over_any_fields_also_those_with_a_default() -> None:
    grid = "++sweep.grid={adapter.reduction:[16,2],train.lr_schedule:[linear,constant]}"
    typed = ["model=micro", "task=copa", "schedule=std", "+sweep=lr_k", grid]
    reductions, schedules = ("adapter.reduction", (2, 16)), ("train.lr_schedule", ("constant", "linear"))
    searched, runs = search([*typed, "train.batch_size=8"])
    assert dict([reductions, schedules]).items() <= searched.grid.items()
    assert {(run.adapter.reduction, run.train.lr_schedule) for run in runs} == {  # type: ignore[attr-defined]
        (reduction, schedule) for reduction in (2, 16) for schedule in ("constant", "linear")
    }
    # What is typed is not searched, be it the default.
    assert "adapter.reduction" not in search([*typed, "adapter.reduction=16"])[0].grid
    assert search(typed)[0].edges({"adapter.reduction": 2, "train.lr_schedule": "linear"}) == ["adapter.reduction"]
    for plus in ("+", "++"):  # in the commands of `reproduce`, too, whose searches have no sign before sweep=
        (other,) = searches(["sweep=lr_k", "model=micro", "task=copa", "schedule=std", plus + grid.lstrip("+")])
        assert other.search == search(typed)[0]
        needed = [run_id(configuration(run.overrides)) for run in other.needed()]
        assert needed == [run_id(run) for run in search(typed)[1]]


def test_a_run_of_a_search_is_the_one_typed_by_hand() -> None:
    base = ["model=mbert", "task=mnli", "schedule=fun"]
    _, runs = search([*base, "+sweep=lr_k"])
    typed = compose([*base, "train.lr=0.0005", "schedule.k=800", "seed=102"])
    assert [run_id(run) for run in runs].count(run_id(typed)) == 1
    (searched,) = searches(["sweep=lr_k", *base])
    for needed, run in zip(searched.needed(), runs, strict=True):
        config = configuration(needed.overrides)
        assert run_id(config) == run_id(run)
        assert config.evaluate.languages == ()


def test_one_line_describes_many_searches() -> None:
    found = searches(["sweep=lr_k", "model=micro", "task=copa", "schedule=std,gu,fun", *SMALL])
    assert [(one.search.label, len(one.needed())) for one in found] == [
        ("copa-micro-madx-std-full", 3 * 2),
        ("copa-micro-madx-gu-full", 9 * 2),
        ("copa-micro-madx-fun-full", 9 * 2),
    ]


def point(lr: float, k: int) -> tuple[tuple[str, float], ...]:
    return (("train.lr", lr), ("schedule.k", k))


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({point(1e-4, 50): [80, 80], point(2e-4, 50): [70, 91]}, point(2e-4, 50)),  # 80.0 and 80.5
        ({point(2e-4, 50): [80, 82], point(1e-4, 800): [82, 80]}, point(1e-4, 800)),  # equal: the smaller rate
        ({point(1e-4, 800): [80, 82], point(1e-4, 50): [82, 80]}, point(1e-4, 50)),  # equal: the smaller k
        ({point(2e-4, 25): [60.0], point(1e-4, 25): [59.9]}, point(2e-4, 25)),
        ({point(1e-4, 25): [0.1, 0.2, 0.3], point(2e-4, 25): [0.3, 0.2, 0.1]}, point(1e-4, 25)),  # whatever the order
        ({point(1e-4, 25): [99, FAILED], point(2e-4, 25): [1, 2]}, point(2e-4, 25)),
        ({point(1e-4, 25): [99, FAILED], point(2e-4, 25): [FAILED, FAILED]}, None),
    ],
)
def test_the_rule(scores: dict[Any, list[float]], best: Any) -> None:
    assert best_mean_validation(scores) == best
    assert best_mean_validation(dict(reversed(scores.items()))) == best


def test_of_strengths_near_the_best_the_largest_is_selected() -> None:
    command = ["sweep=lambda", "paper=l2", "model=mbert", "task=mnli", "adapter=full", "schedule=std", "regularizer=l2"]
    (searched,) = searches(command)
    points = list(searched.runs)
    assert points == [(("regularizer.strength", strength),) for strength in (0.001, 0.01, 0.1, 1.0, 10.0)]
    scores = dict(zip(points, ([81.0], [82.2], [82.1], [82.0], [81.9]), strict=True))
    assert best_mean_validation(scores, searched.search.within) == points[3]  # 82.0 is within 0.2 of 82.2, 81.9 is not
    assert best_mean_validation(scores) == points[1]
    assert best_mean_validation({points[0]: [FAILED]}, 0.2) is None


def test_selected_values_make_the_run_typed_by_hand(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish_search(results)
    assert main(["select", "sweep=lr_k", *TYPED]) == 0
    told = capsys.readouterr().out
    assert "train.lr=0.004 schedule.k=2: 81.00 ± 12.73 (n=2)  <- selected" in told  # 18 / sqrt(2) = 12.73
    assert "warning" not in told
    (artifact,) = (results / "selections").iterdir()
    written = json.loads(artifact.read_text())
    assert written["selected"] == {"train.lr": 0.004, "schedule.k": 2}
    assert written["runs"].keys() == {run_id(run) for run in search((*TYPED, "+sweep=lr_k"))[1]}
    selecting = ("task=copa", "model=micro", "schedule=gu", "+sweep=lr_k", *SMALL, "hparams=selected")
    by_hand = ("task=copa", "model=micro", "schedule=gu", "train.lr=0.004", "schedule.k=2")
    assert run_id(compose((*selecting, "seed=3"))) == run_id(compose((*by_hand, "seed=3")))
    assert main(["select", "sweep=lr_k", *TYPED]) == 0
    assert json.loads(artifact.read_text()) == written


def printed(told: str) -> list[str]:
    """The arguments of the command that `select` printed for the runs with the selected values."""
    (line,) = (line for line in told.splitlines() if "python -m fun.run -m " in line)
    return shlex.split(line.partition("python -m fun.run ")[2])


def test_the_command_that_select_prints_starts_the_selected_runs_alone(
    results: Path, capsys: pytest.CaptureFixture[str], cli: Cli
) -> None:
    finish_search(results)
    assert main(["select", "sweep=lr_k", *TYPED]) == 0
    command = printed(capsys.readouterr().out)
    by_hand = ("task=copa", "model=micro", "schedule=gu", "train.lr=0.004", "schedule.k=2")
    expected = [run_id(compose((*by_hand, f"seed={seed}"))) for seed in (0, 1, 2, 3)]
    assert [run_id(compose(job)) for job in expand(command[1:])] == expected
    shown = cli(*command, "dry_run=true")
    assert re.findall(r'"run_id": "(\w+)"', shown.stdout) == expected
    assert "\t#3 : task=copa " in shown.stderr  # Hydra tells each job's overrides
    assert "evaluate.languages" not in shown.stderr


def test_what_is_typed_wins_over_what_was_selected(results: Path) -> None:
    base = ("task=copa", "model=micro", "schedule=gu", "+sweep=lr_k", *SMALL)
    both = compose((*base, "train.lr=0.1", "schedule.k=3", "hparams=selected"))
    assert (both.train.lr, both.schedule.k) == (0.1, 3)
    # With one of them typed the other comes from a search of its own, of which there is none here.
    with pytest.raises(ConfigError, match="nothing was selected"):
        compose((*base, "train.lr=0.1", "hparams=selected"))


@pytest.mark.parametrize(
    ("best", "edges"),
    [((0.002, 2), ["train.lr"]), ((0.008, 2), ["train.lr"]), ((0.008, 1), ["train.lr", "schedule.k"])],
)
def test_a_value_at_the_edge_is_told(
    results: Path, capsys: pytest.CaptureFixture[str], best: tuple[float, int], edges: list[str]
) -> None:
    finish_search(results, {values: (95.0, 95.0) if values == best else (70.0, 70.0) for values in SCORES})
    assert main(["select", "sweep=lr_k", *TYPED]) == 0
    warned = [line.split("=")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert warned == [f"warning: {field}" for field in edges]


def test_an_incomplete_search_selects_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, runs = search((*TYPED, "+sweep=lr_k"))
    for config in runs[:-3]:
        finish(results, config, 70.0)
    synthetic.alter_a_byte(run_folder(runs[0], results))
    with run_folder(runs[-3], results).begin() as attempt:
        attempt.finish(synthetic.body(runs[-3], {}, marks=("nonstandard",)))
    assert main(["select", "sweep=lr_k", *TYPED]) == 1
    told = capsys.readouterr().out
    commands = [line for line in told.splitlines() if line.startswith("python -m fun.run")]
    found = [run_id(configuration(shlex.split(command)[3:])) for command in commands]
    assert sorted(found) == sorted(run_id(runs[index]) for index in (0, -3, -2, -1))
    assert "4 of 18 runs are missing" in told
    assert "damaged" in told
    assert "marked nonstandard" in told
    assert not (results / "selections").exists()


def diverge(root: Path, seed: int, lr: float, k: int) -> RunFolder:
    """The tuning run fails by its method."""
    (searched,) = searches(["sweep=lr_k", *TYPED])
    runs = searched.runs[point(lr, k)]
    return synthetic.fail(runs[seed - 100], root, lambda: RunError("the loss is nan\nType a smaller train.lr"))


def finish_but(root: Path, *left_out: RunFolder) -> None:
    """A search with (0.004, 2) best, and (0.008, 2) next, without some of its runs."""
    scores = SCORES | {(0.008, 2): (75.0, 76.0)}
    for config in search((*TYPED, "+sweep=lr_k"))[1]:
        if run_id(config) not in {run.run_id for run in left_out}:
            finish(root, config, scores[config.train.lr, config.schedule.k][config.seed - 100])


def test_values_with_a_run_that_failed_by_its_method_are_never_selected(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = diverge(results, 101, 0.004, 2)
    finish_but(results, failed)
    assert main(["select", "sweep=lr_k", *TYPED]) == 0
    told = capsys.readouterr().out
    why = "attempt 1 failed (method): the loss is nan Type a smaller train.lr"
    assert f"train.lr=0.004 schedule.k=2: never selected: {why}\n" in told
    assert "train.lr=0.008 schedule.k=2: 75.50 ± 0.71 (n=2)  <- selected" in told
    assert "warning: train.lr=0.008 lies at the edge" in told
    (artifact,) = (results / "selections").iterdir()
    written = json.loads(artifact.read_text())
    assert "failed by its method" in written["rule"]
    tried = {"values": {"train.lr": 0.004, "schedule.k": 2}, "seed": 101}
    assert written["runs"][failed.run_id] == tried | {"failed": why}
    assert len(written["runs"]) == 18
    assert compose((*TYPED, "+sweep=lr_k", "hparams=selected")).train.lr == 0.008


@pytest.mark.parametrize("left", ["failed by its machine", "to be tried again"])
def test_what_may_still_succeed_is_waited_for(results: Path, capsys: pytest.CaptureFixture[str], left: str) -> None:
    error: Callable[[], Exception] = (lambda: OSError("no space")) if "machine" in left else (lambda: RunError("nan"))
    (searched,) = searches(["sweep=lr_k", *TYPED])
    waited_for = synthetic.fail(searched.runs[point(0.008, 5)][0], results, error)
    if left == "to be tried again":
        queue(waited_for, local_job(os.getpid()))
    finish_but(results, waited_for, diverge(results, 101, 0.004, 2))
    assert main(["select", "sweep=lr_k", *TYPED]) == 1
    told = capsys.readouterr().out
    assert "1 of 18 runs are missing" in told
    commands = [line for line in told.splitlines() if line.startswith("python -m fun.run")]
    found = [run_id(configuration(shlex.split(command)[3:])) for command in commands]
    assert found == [waited_for.run_id]
    assert not (results / "selections").exists()


def test_where_every_point_failed_nothing_is_selected(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lr, k in SCORES:
        diverge(results, 100, lr, k)
    for config in search((*TYPED, "+sweep=lr_k"))[1]:
        if config.seed == 101:
            finish(results, config, 70.0)
    assert main(["select", "sweep=lr_k", *TYPED]) == 1
    (told,) = capsys.readouterr().out.splitlines()
    assert "nothing is selected, because all 9 points of the grid have a run that failed by its method" in told
    assert "the loss is nan" in told
    assert "'sweep.grid={train.lr:[…]}' or 'sweep.grid={schedule.k:[…]}'" in told
    assert not (results / "selections").exists()


@pytest.mark.parametrize("edit", ["values", "runs"])
def test_a_selection_that_was_edited_is_refused(results: Path, edit: str) -> None:
    finish_search(results)
    main(["select", "sweep=lr_k", *TYPED])
    (artifact,) = (results / "selections").iterdir()
    content = json.loads(artifact.read_text())
    if edit == "values":
        content["selected"]["train.lr"] = 0.008
    else:
        content["runs"].popitem()
    artifact.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="select from sweep=lr_k task=copa model=micro"):
        compose((*TYPED, "+sweep=lr_k", "hparams=selected"))


def test_a_selection_from_other_runs_is_not_read(results: Path) -> None:
    finish_search(results)
    main(["select", "sweep=lr_k", *TYPED])
    compose((*TYPED, "+sweep=lr_k", "hparams=selected"))
    for other in ("train.batch_size=16", "sweep.seeds=[100,102]", "sweep.grid={schedule.k:[1,2]}"):
        with pytest.raises(ConfigError, match="nothing was selected"):
            compose((*TYPED, "+sweep=lr_k", "hparams=selected", other))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sweep=lr_k", "seed=0"], "sweep.seeds"),
        (["sweep=lr_k", "sweep=lr_k"], "one sweep="),
        (["task=copa"], "one sweep="),
        (["sweep=lr_k", "task=copa", "sweep.grid={schedule.k:[a]}"], "schedule.k is 'a'"),
        (["sweep=lr_k", "task=copa", "sweep.grid={schedule.k:3}"], "sweep.grid.schedule.k=[3]"),
        (["sweep=lr_k", "task=copa", "+sweep.grid={train.epoch:[2,3]}"], "no choice: did you mean train.epochs?"),
        (["sweep=lr_k", "task=copa", "+sweep.grid={scheduel.k:[2,3]}"], "no choice: did you mean schedule.k?"),
        (["sweep=lr_k", "task=copa", "sweep.seeds=[]"], "sweep.seeds"),
        # whose rate is kept, and which has no k
        (["sweep=lr_k", "task=copa", "schedule=std"], "sweep.keep={train.lr:[]}"),
        (["sweep=lr_k", "task=mnli", "schedule=gu,lpft", "train.lr=0.1", "schedule.k=3"], "neither typed nor kept"),
        (["sweep=lr_k", "task=copa", "model=micro"], TOO_LATE),
        (["sweep=lr_k", "task=copa", "data_size=10k"], "tries schedule.k=25: data_size=10k asks for 10000 training"),
        (["sweep=lr_k", "task=copa", "hparams=selected"], "+sweep=lr_k, and seed=0,1,2,3"),
        (
            ["sweep=lr_k", "task=mnli", "train.lr_schedule=x"],
            "train.lr_schedule is 'x'; expected 'linear' or 'constant'; or ",
        ),
    ],
)
def test_a_mistyped_search_ends_in_one_line(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["select", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert named in error


def test_a_point_that_is_refused_hides_nothing() -> None:
    with pytest.raises(ConfigError, match=r"nothing was selected for this configuration yet \(sweep=lr_k tries"):
        compose(("task=copa", "model=micro", "schedule=gu", "hparams=selected"))


def test_searches_that_differ_in_a_value_alone_are_all_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "sweep=lr_k", *TYPED, "train.batch_size=8,16", "--commands"]) == 0
    assert len(re.findall("train.batch_size=(?:8|16)", capsys.readouterr().out)) == 2 * 9 * 2


MIXED = "expected names of targets, which say all of their runs, or the overrides of one sweep"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("plan table1 seed=0", f"found table1 with seed=0; {MIXED}"),
        ("status table1 seed=0", f"found table1 with seed=0; {MIXED}"),
        ("cancel table1 seed=0", f"found table1 with seed=0; {MIXED}"),
        ("collect table1 seed=0", f"found table1 with seed=0; {MIXED}"),
        ("run task=copa seed=0 --model xlmr", "found --model xlmr with task=copa seed=0; expected it with names"),
        ("plan schedule=glob(zzz*)", "schedule=glob(zzz*) stands for no value"),
        ("plan +sweep=lr_k task=copa", "found +sweep=lr_k for single runs: type sweep=lr_k for the search"),
    ],
)
def test_what_would_run_something_else_is_refused(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


@pytest.mark.long
def test_from_the_sweep_to_the_run_with_its_values(cli: Cli) -> None:
    """All of it as somebody types it; here k is typed, and so the learning rate alone is searched."""
    typed = ("task=copa", "schedule=gu", *SHORT)
    own = ("sweep.grid={train.lr:[0.002,0.004]}", "sweep.keep={train.lr:[]}", "sweep.seeds=[100]")
    cli("-m", "+sweep=lr_k", *typed, *own)
    _, runs = search((*typed, *own, "+sweep=lr_k"))
    records = cli.records()
    assert records.keys() == {run_id(run) for run in runs}
    assert [metrics_of(record) for record in records.values()] == [{}, {}]  # no test set was looked at
    told = cli("select", "sweep=lr_k", *typed, *own, module="reproduce").stdout
    scores = {records[run_id(run)]["selected"]["value"]: run.train.lr for run in reversed(runs)}
    best = scores[max(scores)]  # of equal ones the smaller rate, which came last
    assert f"train.lr={best}: " in next(line for line in told.splitlines() if line.endswith("<- selected"))
    first = expand(printed(told)[1:])[0]
    assert cli.preview(*first)["run_id"] == run_id(compose((*typed, f"train.lr={best}")))


def test_where_nothing_is_searched_the_published_values_stay() -> None:
    standard = ("task=copa", "model=mbert", "schedule=std")
    assert run_id(compose((*standard, "hparams=selected"))) == run_id(compose(standard))
    with pytest.raises(ConfigError, match="published or selected"):
        compose(("hparams=best",))


def test_a_sweep_that_was_not_meant_so_is_refused(cli: Cli) -> None:
    assert "type -m" in cli("+sweep=lr_k", "task=copa", status=2).stderr
    assert "nothing to search" in cli("-m", "+sweep=lr_k", "task=copa", "schedule=std", status=2).stderr
    assert cli("-m", "+sweep=lr_k", "task=copa", status=2).stderr == f"error: {TOO_LATE}\n"


def test_needed_runs_say_what_to_type() -> None:
    (searched,) = searches(["sweep=lr_k", *TYPED])
    first = searched.needed()[0]
    assert isinstance(first, Needed)
    assert first.overrides == (
        "task=copa",
        "model=micro",
        "schedule=gu",
        "train.lr=0.002",
        "schedule.k=1",
        "seed=100",
        "evaluate.languages=[]",
    )


def test_a_search_whose_fields_are_typed_names_them(cli: Cli) -> None:
    typed = ("paper=l2", "task=mnli", "model=mbert", "adapter=full", "schedule=std", "regularizer=l2")
    refused = cli("-m", "+sweep=lambda", *typed, "regularizer.strength=1", status=2)
    assert "sweep=lambda has nothing to search here: regularizer.strength were typed" in refused.stderr
