"""Tables: the golden one byte for byte, gaps, statistics, Table 1's declaration, the command line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from fun.errors import ConfigError
from fun.results import State
from reproduce.__main__ import main
from reproduce.declare import papers
from reproduce.declare.published import Number
from reproduce.declare.tables import Place, Rank, Table
from reproduce.numbers import cells
from reproduce.numbers.cells import Statistic, ranking
from reproduce.runs.store import Absent, missing, results_of, sweeps
from reproduce.show import text
from reproduce.show.latex import to_latex
from reproduce.show.view import of_results, printed
from tests import synthetic
from tests.golden import make
from tests.latex import check_latex

TARGETS = papers.targets()
SOURCE, LOWEST, AVERAGE = "source", "lowest", "average"
COMMAND = "python -m fun.run model=micro task=squad adapter=madx data_size=full"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A copy of the golden records, to be spoilt."""
    return shutil.copytree(make.RECORDS, tmp_path / "records")


def folder(root: Path, schedule: str, seed: int) -> Path:
    return root / make.folder_name(make.overrides(schedule, seed))


def rewrite(root: Path, schedule: str, values: make.Values, **changes: object) -> None:
    """Give both seeds of a schedule these values."""
    for seed in (0, 1):
        fields = make.content(make.identity(make.overrides(schedule, seed)), make.metrics(values), **changes)
        make.write_record(folder(root, schedule, seed), fields)


def filled(root: Path, allow_marked: bool = False) -> tuple[cells.Grid, list[str]]:
    needed = make.TARGET.needed()
    results = results_of(needed, make.Records(root, allow_marked))
    grid = cells.fill(make.TARGET, results)
    return grid, missing(needed, results)


def cell(grid: cells.Grid, row: str, column: str, metric: str = "f1") -> cells.Cell:
    return grid.cells[Place("micro", row, "microqa", column, metric)]


def counts(grid: cells.Grid, row: str, column: str) -> tuple[int, int]:
    statistic = cell(grid, row, column).statistic
    assert statistic is not None
    return statistic.n, statistic.declared


# --- the golden table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table.csv", "table.tex", "table.txt"])
def test_golden(name: str) -> None:
    expected = (make.HERE / name).read_text(encoding="utf-8")
    assert make.render(make.RECORDS)[name] == expected


def test_golden_records_are_those_of_make(tmp_path: Path) -> None:
    make.write_records(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    committed = {p.relative_to(make.RECORDS): p.read_bytes() for p in make.RECORDS.rglob("*.json")}
    assert written == committed


def test_deleted_records_leave_gaps(records: Path) -> None:
    shutil.rmtree(folder(records, "gu", 1))
    shutil.rmtree(folder(records, "rand", 0))
    grid, absent = filled(records)
    for column in (SOURCE, LOWEST, AVERAGE):
        assert counts(grid, "gu", column) == (1, 2)
        gap = cell(grid, "gu", column)
        assert gap.statistic is not None
        assert (gap.statistic.mean, gap.statistic.std, gap.rank) == (None, None, None)
    # The only rand run left lacks one target language: a value in English, no average.
    assert [counts(grid, "rand", column) for column in (SOURCE, LOWEST, AVERAGE)] == [(1, 2), (1, 2), (0, 2)]
    assert cell(grid, "fun", AVERAGE).rank is Rank.best
    assert cell(grid, "std", AVERAGE).rank is Rank.second
    assert "1/2" in make.plain(of_results(grid))
    assert absent == [
        f"{COMMAND} schedule=rand seed=0",
        f"{COMMAND} schedule=gu seed=1",
        "# done, but without microqa in l2",
        f"{COMMAND} schedule=rand seed=1",
    ]


def test_no_lowest_language_while_the_standard_row_is_incomplete(records: Path) -> None:
    shutil.rmtree(folder(records, "std", 0))
    grid, _ = filled(records)
    assert all(cell(grid, row, LOWEST).statistic is None for row in make.TARGET.rows)
    assert "Lowest (published: L2)" in make.plain(of_results(grid))


def test_a_damaged_record_is_listed_and_not_counted(records: Path) -> None:
    path = folder(records, "gu", 0) / "record.json"
    path.write_text(path.read_text().replace('"f1": 45', '"f1": 46'))
    grid, absent = filled(records)
    assert counts(grid, "gu", AVERAGE) == (1, 2)
    reason, line = absent[-2:]
    assert reason.startswith("# damaged: ")
    assert "checksum" in reason
    assert line == f"{COMMAND} schedule=gu seed=0 force=true"


def test_a_marked_record_counts_only_where_it_is_allowed(records: Path) -> None:
    rewrite(records, "gu", dict.fromkeys(("en", "l1", "l2", "l3"), (1, 1)), marks=["synthetic"])
    grid, absent = filled(records)
    assert counts(grid, "gu", AVERAGE) == (0, 2)
    assert any("marked synthetic" in line for line in absent)
    grid, absent = filled(records, allow_marked=True)
    assert counts(grid, "gu", AVERAGE) == (2, 2)
    assert cell(grid, "gu", AVERAGE).notes == ("from records marked synthetic",)
    assert not any("synthetic" in line for line in absent)


# --- statistics ---------------------------------------------------------------------------------------------


def test_languages_are_averaged_within_a_seed_first() -> None:
    """Seed averages 50 and 52: a std over the six numbers at once would be 9.2."""
    grid, _ = filled(make.RECORDS)
    average = cell(grid, "std", AVERAGE).statistic
    assert average is not None
    assert average.values == (50.0, 52.0)
    assert average.mean == 51.0
    assert average.std == pytest.approx(2**0.5)


def test_mean_and_sample_std_equal_numpy() -> None:
    values = (57.1, 58.35, 56.902, 57.77)
    statistic = Statistic(values)
    assert statistic.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert statistic.std == pytest.approx(np.std(values, ddof=1), rel=1e-12)


def test_one_replicate_has_no_std() -> None:
    statistic = Statistic((57.125,))
    assert (statistic.mean, statistic.std) == (57.125, None)
    assert printed(statistic) == "57.12"


def test_an_incomplete_statistic_has_no_number() -> None:
    statistic = Statistic((57.0, None, 58.0, None))
    assert (statistic.mean, statistic.std, printed(statistic)) == (None, None, "2/4")


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({"a": 3.0, "b": 2.0, "c": 1.0}, {"a": Rank.best, "b": Rank.second}),
        ({"a": 3.001, "b": 2.999, "c": 1.0}, {"a": Rank.best, "b": Rank.best, "c": Rank.second}),
        ({"a": 3.0, "b": 2.004, "c": 1.996}, {"a": Rank.best, "b": Rank.second, "c": Rank.second}),
        ({"a": None, "b": 2.0, "c": 1.0}, {"b": Rank.best, "c": Rank.second}),
        ({"a": None, "b": 2.0}, {}),
    ],
)
def test_ranking(means: dict[str, float | None], expected: dict[str, Rank]) -> None:
    assert ranking(means) == expected


def test_the_lowest_language_is_that_of_the_standard_row_by_the_main_metric(records: Path) -> None:
    rewrite(records, "std", {"en": (80, 70), "l1": (40, 30), "l2": (39, 31), "l3": (41, 20)})
    rewrite(records, "gu", {"en": (80, 70), "l1": (10, 10), "l2": (50, 40), "l3": (60, 50)})
    grid, _ = filled(records)
    for metric, value in (("f1", 50.0), ("em", 40.0)):
        lowest = cell(grid, "gu", LOWEST, metric)
        assert lowest.language == "l2"
        assert lowest.statistic == Statistic((value, value))


def test_of_equally_low_languages_the_first_declared(records: Path) -> None:
    rewrite(records, "std", {"en": (80, 70), "l1": (41, 30), "l2": (40, 31), "l3": (40, 20)})
    assert cell(filled(records)[0], "gu", LOWEST).language == "l2"


# --- Table 1 ------------------------------------------------------------------------------------------------


def test_a_published_number_stands_in_its_own_cell() -> None:
    target = TARGETS["table1"]
    assert isinstance(target, Table)
    assert target.number(Place("mbert", "gu", "xquad", LOWEST, "f1")) == Number("44.08", "", "th", 4)


def test_needed_runs_are_shared_between_datasets() -> None:
    needed = TARGETS["table1"].needed()
    assert len(needed) == len({run.overrides for run in needed}) == 2 * 3 * 4 * 4
    squad = next(run for run in needed if "task=squad" in run.overrides)
    assert {dataset for dataset, _, _ in squad.values} == {"mlqa", "xquad"}


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if isinstance(target, Table)])
def test_tables_fit_and_compile(name: str) -> None:
    target = TARGETS[name]
    assert isinstance(target, Table)
    results = {run.overrides: Absent(State.MISSING) for run in target.needed()}
    _check_rendering(cells.fill(target, results))


def test_golden_fits_and_compiles() -> None:
    _check_rendering(filled(make.RECORDS)[0])


def _check_rendering(grid: cells.Grid) -> None:
    assert max(map(len, make.plain(of_results(grid)).splitlines())) <= text.WIDTH
    check_latex(to_latex(of_results(grid)))


# --- declarations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "titel"),
        ({"lowest": "sdt"}, "'sdt' is not declared; valid: std, rand, gu, fun"),
        ({"blocks": [["squad"]]}, "'squad' is not declared"),
        ({"replicates": ["seed=0", "seed=0"]}, "none twice"),
        (
            {"columns": {"average": {"of": "median"}}},
            "'median' is not declared; valid: source, lowest, average, average with source, en, l1",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    declared = yaml.safe_load((make.HERE / "paper.yaml").read_text())
    declared["targets"]["golden"] |= change
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    with pytest.raises(ConfigError, match=re.escape(message)):
        papers.load(tmp_path)


def test_sweeps_are_the_same_runs() -> None:
    needed = [run.overrides for run in TARGETS["table1-micro"].needed()]
    assert sweeps(needed) == [
        "python -m fun.run -m model=micro task=squad,copa,mnli adapter=madx data_size=full "
        "schedule=std,rand,gu,fun seed=0,1,2,3"
    ]
    assert sweeps(needed[:1]) == [f"{COMMAND} schedule=std seed=0"]
    # Not a product: nothing may be swept that is not needed.
    assert sweeps([("a=1", "b=1"), ("a=1", "b=2"), ("a=2", "b=1")]) == [
        "python -m fun.run -m a=1 b=1,2",
        "python -m fun.run a=2 b=1",
    ]
    assert sweeps([("a=[en,fr]", "b=1")]) == ["python -m fun.run 'a=[en,fr]' b=1"]  # a list is one value


# --- the command line, with the real lookup -----------------------------------------------------------------


def write_demo_records(root: Path, marks: list[str]) -> None:
    runs = enumerate(TARGETS["demo"].needed())
    values = {run.overrides: (60.0 + index, [language for _, language, _ in run.values]) for index, run in runs}
    metrics = {
        run: {"micronli": {language: {"accuracy": value} for language in languages}}
        for run, (value, languages) in values.items()
    }
    synthetic.write(root, metrics, marks)


def test_table_from_real_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_demo_records(tmp_path, marks=[])
    assert main(["table", "demo", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "60.50±0.71" in printed  # std: seeds 60 and 61
    assert "Missing" not in printed
    written = tmp_path / "tables" / "fun" / "demo.csv"
    first = written.read_bytes()
    assert main(["table", "demo", "--results", str(tmp_path)]) == 0
    assert written.read_bytes() == first
    assert (written.with_suffix(".tex")).is_file()


def test_marked_records_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_demo_records(tmp_path, marks=["synthetic"])
    assert main(["table", "demo", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "±0" not in printed
    assert "0/2" in printed
    assert main(["table", "demo", "--results", str(tmp_path), "--allow-marked"]) == 0
    assert "60.50±0.71" in capsys.readouterr().out


@pytest.mark.parametrize("typed", [["table", "tabel1"], ["run", "tabel1"], ["figure", "figure5", "--model", "bert"]])
def test_an_unknown_target_names_the_valid_ones(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "table1-micro" in message


def test_done_targets_run_nothing_and_load_no_torch(tmp_path: Path) -> None:
    write_demo_records(tmp_path, marks=[])
    code = (
        "import sys; from reproduce.__main__ import main\n"
        f"status = main(['run', 'demo', '--results', {str(tmp_path)!r}])\n"
        "sys.exit(status or bool({'torch', 'matplotlib', 'submitit'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Nothing to run: 6 of 6 runs are done." in done.stdout
    assert not (tmp_path / "logs").exists()
