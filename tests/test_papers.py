"""Papers beside each other: a second and a third one, whose numbers have unstated runs, quoted rows and runs by language."""

import csv
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from fun.methods import REGULARIZERS, MethodChoice
from fun.results import Record, RunFolder, State
from reproduce.__main__ import main
from reproduce.declare import papers
from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import Run
from reproduce.declare.published import MEASURED, Number, Published
from reproduce.declare.tables import Place, Table
from reproduce.numbers import cells
from reproduce.numbers.cells import Statistic
from reproduce.numbers.verdicts import Conclusion, verdicts
from reproduce.runs.store import Absent, Done
from tests import synthetic
from tests.golden import make

L2 = """
title: Another paper
authors: [A. Nonymous]
assumptions: [None of the first paper's.]
margins: {accuracy: {points: 0.5, reason: its own}}
datasets:
  xnli: {label: XNLI, overrides: task=mnli, targets: [ar, el], metrics: {accuracy: Accuracy}}
  xnli3: {label: XNLI, overrides: task=mnli, targets: [ar, el, th], metrics: {accuracy: Accuracy}, reads: xnli}
targets:
  table1: &table
    kind: table
    title: "Table 1: an average, a language, and the source"
    overrides: model=mbert adapter=full data_size=full
    replicates: [seed=42, seed=10]
    columns: {source: {}, average: {}, el: {}, all: {of: average with source}}
    published: {table: "1", model: mbert, adapter: none, data_size: full}
    panels: {mbert: {label: mBERT}}
    rows:
      vanilla: {label: vanilla, overrides: schedule=std, published: {method: vanilla}}
      ewc:
        label: EWC
        overrides: "schedule=std regularizer=by_language regularizer.languages=[{language}]"
        source_from: el
        published: {method: ewc}
      hu2020: {label: quoted, quoted: true, published: {method: hu2020}}
    blocks: [[xnli]]
  table2:
    <<: *table
    title: "Table 2: the same records in other languages; other replicates for a row and on a data set"
    columns: {average: {}}
    published: {table: "2", model: mbert, adapter: none, data_size: full}
    replicates_on: {xnli3: [seed=42, seed=10, seed=20]}
    rows:
      vanilla: {label: vanilla, overrides: schedule=std, published: {method: vanilla}}
      one: {label: one run, overrides: schedule=std, replicates: [seed=1], published: {method: one}}
    blocks: [[xnli, xnli3]]
"""

NUMBERS = """paper,table,model,adapter,method,train_task,dataset,data_size,language,metric,mean,std,runs,source_row,note
L2,1,mbert,none,vanilla,mnli,xnli,full,avg,accuracy,64.39,,3,L1,
L2,1,mbert,none,ewc,mnli,xnli,full,en,accuracy,81.45,,,L2,runs unsaid
L2,1,mbert,none,ewc,mnli,xnli,full,avg,accuracy,63.83,0.40,,L3,runs unsaid
L2,1,mbert,none,hu2020,mnli,xnli,full,avg,accuracy,65.40,,,L4,quoted
L2,2,mbert,none,vanilla,mnli,xnli,full,avg,accuracy,63.22,1.58,5,L5,
L2,5,mbert,none,,mnli,xnli,full,,correlation,-0.677,,,L6,Wiki
L2,5,mbert,none,,mnli,xnli,full,,correlation,-0.814,,,L7,XNLI
"""


@REGULARIZERS.register("by_language")
@dataclass(frozen=True)
class ByLanguage(MethodChoice):
    """Stands for a method that trains one model for each target language; it does nothing here."""

    languages: tuple[str, ...] = ()
    """The languages that it is for."""

    def build(self, model: object, seed: int) -> None:
        return None


ConfigStore.instance().store("by_language", {"name": "by_language", "languages": []}, group="regularizer")


def reference(paper: str) -> Path:
    """All numbers of a paper, where they lie beside the real data."""
    return Path(os.environ.get("FUN_REAL_DATA", "nowhere")).parent / "reference" / f"{paper}.csv"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The first paper with a second and a third one beside it."""
    folder = tmp_path / "papers"
    shutil.copytree(papers.PAPERS / "fun", folder / "fun")
    for name in ("l2", "graddrop"):
        (folder / name).mkdir()
        (folder / name / "paper.yaml").write_text(L2)
        (folder / name / "numbers.csv").write_text(NUMBERS)
    return folder


@pytest.fixture
def l2(three: Path) -> Table:
    target = papers.targets(three)["l2/table1"]
    assert isinstance(target, Table)
    return target


# --- names --------------------------------------------------------------------------------------------------


def test_another_paper_s_targets_bear_its_name_and_disturb_nothing(three: Path) -> None:
    known = papers.targets(three)
    alone = {name: target for name, target in papers.targets().items() if target.paper.name == "fun"}
    others = {f"{paper}/table{number}" for paper in ("l2", "graddrop") for number in (1, 2)}
    assert set(known) == {*alone, *others}
    assert papers.find("fun/table1", None, known) is papers.find("table1", None, known)
    assert known["table1"].needed() == alone["table1"].needed()
    assert known["l2/table1"].needed() != known["table1"].needed()


@pytest.mark.parametrize(
    ("typed", "file", "text"),
    [
        (["tables", "fun"], "tables/fun/table1.csv", "table1,mbert,std,mlqa,source"),
        (["tables", "l2"], "tables/l2/table1.tex", r"\published{published}"),
        (["table", "l2/table1"], "tables/l2/table1.csv", "hu2020,xnli,average,,accuracy,,,,,,65.40"),
        (["table", "graddrop/table2"], "tables/graddrop/table2.csv", "one,xnli3,average,"),
        (["table", "table1"], "tables/fun/table1.tex", r"\label{tab:table1}"),
    ],
)
def test_tables_of_three_papers(three: Path, tmp_path: Path, typed: list[str], file: str, text: str) -> None:
    (tmp_path / "runs").mkdir()
    assert main([*typed, "--results", str(tmp_path)], three) == 0
    assert text in (tmp_path / file).read_text()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["plan", "l2", "--commands"], "regularizer=by_language 'regularizer.languages=[el]' seed=10"),
        (["plan", "table1", "l2/table1"], "l2/table1"),
        (["explain", "l2/table1", "mbert", "ewc", "xnli", "average"], "published: 63.83 ± 0.40 (runs unstated)"),
        (["explain", "l2/table1", "mbert", "hu2020", "xnli", "avg"], "ours: none, the row is quoted from elsewhere"),
        (["explain", "l2/table1", "mbert", "ewc", "xnli", "en"], "published: 81.45 (runs unstated)"),
    ],
)
def test_other_commands_of_three_papers(
    three: Path, tmp_path: Path, typed: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*typed, "--results", str(tmp_path)], three) == 0
    assert told in capsys.readouterr().out


def test_every_command_works_beside_whole_papers(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for paper in ("l2", "graddrop"):
        if reference(paper).exists():
            shutil.copy(reference(paper), three / paper / "numbers.csv")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    root, other = tmp_path / "results", tmp_path / "other"
    table = papers.targets(three)["l2/table1"]
    measured = {
        run.overrides: {"xnli": {name: {"accuracy": 60.0} for _, name, _ in run.values}} for run in table.needed()
    }
    synthetic.write(root, dict(list(measured.items())[:3]), marks=())
    synthetic.write(other, dict(list(measured.items())[3:]), marks=())
    statuses = {
        "plan l2 graddrop table7": 0,
        "plan graddrop/table2 --json": 0,
        "run l2/table1 --dry-run": 0,
        "submit l2/table1 --profile a100 --dry-run": 0,
        "retry l2/table1 --profile local --dry-run": 0,
        "cancel l2": 0,
        "status": 0,
        "status l2 table7": 0,
        "table l2/table1": 0,
        "table table3": 0,
        "tables l2": 0,
        "tables graddrop": 0,
        "figure demo-orders": 1,  # nothing is done that could be drawn
        "explain graddrop/table1 mbert vanilla xnli average": 0,
        "report l2": 0,
        "archive l2/table1": 0,
        f"merge {other}": 0,
        "collect l2 table7": 0,
        "preflight l2/table1": 1,  # nothing can be asked offline
        "prefetch l2/table1": 1,
    }
    results = ("--results", str(root))
    for typed, status in statuses.items():
        where = () if typed.startswith("prefetch") else results
        assert main([*typed.split(), *where], three) == status, (typed, capsys.readouterr())
    assert (root / "archives" / "l2" / "table1.tar.gz").exists()


def test_a_new_kind_of_target_is_one_class(tmp_path: Path) -> None:
    @KINDS.register("seam")
    class Seam(Target):
        window: int

    try:
        text = "{title: x, datasets: {}, targets: {figure9: {kind: seam, title: A seam, window: 3}}}"
        (tmp_path / "paper.yaml").write_text(text)
        target = papers.load(tmp_path).targets["figure9"]
    finally:
        del KINDS["seam"]
    assert isinstance(target, Seam)
    assert (target.title, target.window, target.needed()) == ("A seam", 3, [])


# --- what is printed ----------------------------------------------------------------------------------------


def test_runs_may_be_unstated_and_a_number_printed_twice_is_told_where_it_is_asked_for(l2: Table) -> None:
    average = Place("mbert", "ewc", "xnli", "average", "accuracy")
    assert l2.number(average) == Number("63.83", "0.40", "avg", None)
    assert l2.number(Place("mbert", "ewc", "xnli", "source", "accuracy")) == Number("81.45", "", "en", None)
    correlation = {"table": "5", "model": "mbert", "adapter": "none", "method": "", "data_size": "full"}
    correlation |= {"dataset": "xnli", "metric": "correlation", "language": ""}
    published = l2.paper.published
    with pytest.raises(papers.ConfigError, match=r"found -0\.677 in table 5 and -0\.814 in table 5"):
        published.number(correlation)
    assert published.number({**correlation, "note": "XNLI"}) == Number("-0.814", "", "", None)


@pytest.mark.parametrize(("paper", "rows"), [("fun", 912), ("l2", 670), ("graddrop", 858)])
def test_every_number_of_the_reference_is_found(paper: str, rows: int) -> None:
    if not reference(paper).exists():
        pytest.skip("the reference numbers are not beside the real data")
    with reference(paper).open(encoding="utf-8", newline="") as file:
        printed = list(csv.DictReader(file))
    published = Published(printed)
    for row in printed:
        selected = {name: row[name] for name in ("table", "source_row", *MEASURED)}
        number = published.number(selected | {"language": row["language"].partition(":")[0]})
        assert number is not None
        assert (number.mean, number.std, number.runs is None) == (row["mean"], row["std"], not row["runs"])
    assert len(printed) == rows


# --- cells of sources ---------------------------------------------------------------------------------------


def results(table: Table, values: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[Run, Done | Absent]:
    """Runs of a table by (the language that they are for, empty for all of them; seed), with values by language."""
    named: dict[Run, Done | Absent] = {}
    for needed in table.needed():
        typed = dict(override.split("=", 1) for override in needed.overrides)
        key = (typed.get("regularizer.languages", "").strip("[]"), int(typed["seed"]))
        measured = {"xnli": {language: {"accuracy": value} for language, value in values.get(key, {}).items()}}
        record = Record.sealed(make.content(make.identity(needed.overrides), measured))
        named[needed.overrides] = (
            Done(record, RunFolder(Path("nowhere"), "")) if key in values else Absent(State.MISSING)
        )
    return named


EWC = {
    ("ar", 42): {"ar": 60.0, "el": 1.0},
    ("el", 42): {"ar": 1.0, "el": 70.0, "en": 80.0},
    ("ar", 10): {"ar": 62.0, "el": 1.0},
    ("el", 10): {"ar": 1.0, "el": 74.0, "en": 82.0},
}


def ewc(table: Table, values: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[str, Statistic | None]:
    grid = cells.fill(table, results(table, values))
    return {place.column: cell.statistic for place, cell in grid.cells.items() if place.row == "ewc"}


def test_each_language_is_read_from_its_own_run_at_the_same_seed(l2: Table) -> None:
    """Languages first, then replicates: (60 + 70) / 2 and (62 + 74) / 2; English is that of the Greek run."""
    assert ewc(l2, EWC) == {
        "source": Statistic((80.0, 82.0)),
        "el": Statistic((70.0, 74.0)),
        "average": Statistic((65.0, 68.0)),
        "all": Statistic((70.0, pytest.approx((62 + 74 + 82) / 3))),
    }


def test_an_average_with_one_language_s_run_missing_is_a_gap(l2: Table) -> None:
    statistics = ewc(l2, {key: value for key, value in EWC.items() if key != ("ar", 10)})
    assert statistics["average"] == Statistic((65.0, None))
    assert statistics["el"] == Statistic((70.0, 74.0))
    average = statistics["average"]
    assert average is not None
    assert (average.mean, average.n, average.declared) == (None, 1, 2)


def test_each_run_is_needed_for_its_own_language_alone(l2: Table) -> None:
    needed = {run.overrides: run.values for run in l2.needed() if "regularizer=by_language" in run.overrides}
    languages = {run[-2].split("=")[1]: {language for _, language, _ in values} for run, values in needed.items()}
    assert languages == {"[ar]": {"ar"}, "[el]": {"el", "en"}}
    assert len(needed) == 2 * 2  # languages x seeds


def test_a_run_for_each_language_must_say_whose_gives_the_source(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(L2.replace("        source_from: el\n", "", 1))
    with pytest.raises(papers.ConfigError, match=r"rows\.ewc: a run for each .language.; say by `source_from` whose"):
        papers.load(tmp_path)


def test_a_quoted_row_has_numbers_and_no_runs(l2: Table) -> None:
    place = Place("mbert", "hu2020", "xnli", "average", "accuracy")
    grid = cells.fill(l2, results(l2, {}))
    cell = grid.cells[place]
    assert (cell.statistic, cell.quoted, cell.published) == (None, True, Number("65.40", "", "avg", None))
    assert place not in verdicts(grid)
    assert (grid.numbers, len(grid.cells)) == (8, 12)


def test_beside_unstated_runs_a_verdict_says_the_difference_and_no_more(l2: Table) -> None:
    judged = verdicts(cells.fill(l2, results(l2, EWC)))[Place("mbert", "ewc", "xnli", "average", "accuracy")]
    assert (judged.conclusion, judged.estimate, judged.margin) == (Conclusion.runs_unstated, None, 0.5)
    assert judged.difference == pytest.approx(66.5 - 63.83)


def test_one_data_set_declared_twice_reads_the_same_records(three: Path) -> None:
    table = papers.targets(three)["l2/table2"]
    assert isinstance(table, Table)
    values = {("", seed): {"ar": 60.0 + seed, "el": 70.0 + seed, "th": 80.0 + seed} for seed in (42, 10, 20, 1)}
    grid = cells.fill(table, results(table, values))
    statistics = {(place.row, place.dataset): cell.statistic for place, cell in grid.cells.items()}
    assert statistics == {
        ("vanilla", "xnli"): Statistic((107.0, 75.0)),
        ("vanilla", "xnli3"): Statistic((112.0, 80.0, 90.0)),  # three replicates on it
        ("one", "xnli"): Statistic((66.0,)),
        ("one", "xnli3"): Statistic((71.0,)),
    }
    number = table.number(Place("mbert", "vanilla", "xnli3", "average", "accuracy"))
    assert number == Number("63.22", "1.58", "avg", 5)


def test_a_table_by_language_is_made_from_real_folders(
    l2: Table, three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the run of one language and seed: that average is 1/2, its other columns are complete."""
    metrics = {
        needed.overrides: {"xnli": {language: {"accuracy": 60.0} for _, language, _ in needed.values}}
        for needed in l2.needed()
        if not {"regularizer.languages=[ar]", "seed=10"} <= {*needed.overrides}
    }
    synthetic.write(tmp_path, metrics, marks=())
    assert main(["table", "l2/table1", "--results", str(tmp_path)], three) == 0
    told = capsys.readouterr().out
    assert "1 run" not in told.splitlines()[0]
    lines = [line for line in told.splitlines() if line.startswith("python -m fun.run")]
    assert len(lines) == 2  # the command, and the same as a sweep
    with (tmp_path / "tables" / "l2" / "table1.csv").open(encoding="utf-8") as file:
        rows = {(row["row"], row["column"]): (row["n"], row["mean"]) for row in csv.DictReader(file)}
    assert rows["ewc", "average"] == ("1", "")
    assert rows["ewc", "source"] == rows["ewc", "el"] == rows["vanilla", "average"] == ("2", "60.000000")
