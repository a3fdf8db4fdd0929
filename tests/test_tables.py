"""Every table of the paper: its runs, its printed numbers from synthetic records, and each kind of gap for what it is."""

import csv
import math
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from fun.errors import ConfigError
from fun.inputs import SEMANTICS, compose, run_folder, run_id
from fun.results import InvalidRecord, RunFolder
from reproduce.__main__ import main
from reproduce.declare import papers
from reproduce.declare.parts import Needed, merged
from reproduce.declare.settings import Settings
from reproduce.declare.tables import LOWEST, Place, Table
from reproduce.numbers import cells
from reproduce.numbers import settings as filling
from reproduce.runs.store import Done, Results, Store, configuration, missing, results_of
from reproduce.show.latex import to_latex
from reproduce.show.text import to_csv
from reproduce.show.view import of_results, printed, view
from tests import synthetic
from tests.golden.make import plain
from tests.latex import check_latex

KNOWN = papers.targets()
PAPER = KNOWN["table1"].paper
TABLES = [target for target in PAPER.targets.values() if isinstance(target, Table) and target.published]
BY_NAME = {target.name: target for target in TABLES}

# Counted by hand: models x tasks x methods x seeds (x data sizes). Tables share runs.
RUNS = {
    "table1": 2 * 3 * 4 * 4,
    "table2": 2 * 1 * 3 * 4,
    "table7": 2 * 3 * 1 * 4,
    "table8": 2 * 1 * 4 * 4,
    "table9": 2 * 1 * 4 * 4,
    "table10": 2 * 1 * 4 * 4,
    "table11": 2 * 2 * 2 * 4 * 3,
    "table12": 2 * 2 * (4 + 2),
    "table13": 2 * 2 * 3 * 4 * 3,
    "table14": 2 * 3 * 3 * 4,
    "table16": 1 * 1 * 2 * 4,
    "table17": 1 * 1 * 2 * 4,
    "table18": 1 * 1 * 2 * 4,
}

# The cells whose printed average is not the average of the printed languages (errata F1 and F2).
CONTRADICTIONS = {
    ("table1", "xlmr", "std", "mlqa", "average", "f1"),
    ("table8", "xlmr", "std", "mlqa", "average", "f1"),
    ("table16", "mdeberta", "gu", "mlqa", "average", "f1"),
}


def all_needed() -> list[Needed]:
    return merged(run for target in TABLES for run in target.needed())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with every run of every table, from which the tables come out as published."""
    root = tmp_path_factory.mktemp("full")
    synthetic.write_records(root, synthetic.measured(PAPER))
    return root


@pytest.fixture(scope="module")
def complete(full: Path) -> Results:
    return results_of(all_needed(), Store(full, allow_marked=True))


def fill(results: Results) -> dict[str, cells.Grid]:
    return {target.name: cells.fill(target, results) for target in TABLES}


@cache
def settings() -> dict[str, list[filling.Comparison]]:
    """The values of the tables of settings."""
    return {name: filling.fill(target) for name, target in PAPER.targets.items() if isinstance(target, Settings)}


def written(folder: Path) -> list[dict[str, str]]:
    """The rows of all tables' CSV files."""
    rows = []
    for target in TABLES:
        with (folder / "tables" / "fun" / f"{target.name}.csv").open(encoding="utf-8") as file:
            rows += list(csv.DictReader(file))
    return rows


# --- declarations -------------------------------------------------------------------------------------------


def test_the_tables_need_94_configurations_and_368_runs() -> None:
    assert {target.name: len(target.needed()) for target in TABLES} == RUNS
    runs = [run.overrides for run in all_needed()]
    assert len(runs) == len({run_id(configuration(run)) for run in runs}) == 368
    assert len({tuple(part for part in run if not part.startswith("seed=")) for run in runs}) == 94


def test_every_published_number_stands_in_one_cell() -> None:
    with (PAPER.folder / "numbers.csv").open(encoding="utf-8") as file:
        printed = Counter((f"table{row['table']}", row["mean"], row["std"]) for row in csv.DictReader(file))
    placed = [(target.name, target.number(place)) for target in TABLES for place in target.places()]
    numbers = Counter((name, number.mean, number.std) for name, number in placed if number)
    assert numbers == printed
    assert (numbers.total(), sum(count for (_, _, std), count in numbers.items() if std)) == (912, 228)


def test_every_erratum_is_shown() -> None:
    shown = {text for target in TABLES for place in target.places() for text in target.errata(place)}
    shown |= {text for target in TABLES for name in target.datasets for text in target.dataset_errata(name)}
    shown |= {text for values in settings().values() for value in values for text in value.errata}
    with (PAPER.folder / "errata.csv").open(encoding="utf-8") as file:
        assert shown == {row["text"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("targets.table2.published", {"table": "2"}, "table2.`published` selects no adapter, data_size for row LoRA"),
        (
            "targets.table9.lowest",
            "std",
            "table9.lowest: a column over the lowest language and `lowest: <row>` go together",
        ),
        ("targets.table14.own_lowest", ["copa"], "table14.own_lowest: 'copa' is not declared; valid: mlqa, xquad"),
        ("targets.table1.kind", "chart", "table1: found kind: chart; valid: "),
        ("targets.table3.columns.lr.runs", ["gu", "rand"], "table3.columns.lr.runs: 'rand' is not declared"),
        ("targets.table5.rows", ["imdb"], "table5.rows: 'imdb' is not declared; valid: mlqa, xquad"),
        ("targets.table6.names", {"fr": "French"}, "table6.names: 'fr' is the target language of no dataset"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, where: str, change: object, message: str) -> None:
    declared = yaml.safe_load((PAPER.folder / "paper.yaml").read_text())
    *path, last = where.split(".")
    part = declared
    for name in path:
        part = part[name]
    part[last] = change
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    with pytest.raises(ConfigError, match=re.escape(message)):
        papers.load(tmp_path)


@pytest.mark.parametrize(
    "overrides",
    [
        "model=mbert task=squad adapter=madx data_size=full schedule=fun seed=3",
        "model=xlmr task=copa adapter=lora data_size=full schedule=std seed=1",
        "seed=2 model=mdeberta task=mnli adapter=madx data_size=full schedule=gu",
        "model=xlmr task=mnli adapter=madx schedule=fun data_size=5k seed=0",
    ],
)
def test_a_shared_composition_is_the_run_that_hydra_composes(overrides: str) -> None:
    run = tuple(overrides.split())
    shared, composed = configuration(run), compose(run)
    assert shared == composed
    assert (run_id(shared), shared.label) == (run_id(composed), composed.label)


def test_settings_are_the_printed_ones_but_for_the_errata_of_table_5() -> None:
    differing = {
        (name, value.row, value.column): value
        for name, values in settings().items()
        for value in values
        if value.differs
    }
    assert {where: (value.text, value.printed) for where, value in differing.items()} == {
        ("table5", "squad / xquad", "n. lang"): ("10", "11"),
        ("table5", "squad / mlqa", "n. lang"): ("6", "5"),
        ("table5", "mnli / xnli", "n. lang"): ("11", "14"),
    }
    assert all(value.errata for value in differing.values())


def test_a_setting_is_what_the_run_gets_and_what_differs_is_marked() -> None:
    """Table 3, XLM-R on SQuAD: learning rates of standard training and of every schedule, and FUN's k."""
    texts = {(value.panel, value.row, value.column): (value.text, value.printed) for value in settings()["table3"]}
    assert texts["SQuAD", "XLM-R", "lr"] == ("2e-4/5e-4", "2e-4/5e-4")
    assert texts["SQuAD", "XLM-R", "k-FUN"] == ("100", "100")
    table = view(KNOWN["table5"], {})
    assert "10 ≠" in plain(table)
    assert r"10 $\neq$" in to_latex(table)
    assert "table5,,squad / xquad,n. lang,10,11,yes," in to_csv(table)


def test_table_6_names_every_target_language() -> None:
    printed = {language for name in ("mlqa", "xquad", "xcopa", "xnli") for language in PAPER.datasets[name].targets}
    assert {value.text for value in settings()["table6"] if value.column == "Code"} == printed


# --- as published -------------------------------------------------------------------------------------------


def test_every_printed_mean_and_std_is_reproduced(full: Path, tmp_path: Path) -> None:
    assert main(["tables", "--results", str(full), "--out", str(tmp_path), "--allow-marked"]) == 0
    rows = [row for row in written(tmp_path) if row["published_mean"]]
    assert len(rows) == 912
    assert all(row["n"] == row["declared"] for row in rows)
    document = (tmp_path / "tables" / "fun" / "tables.tex").read_text()
    names = re.findall(r"\\input{(\w+)}", document)
    assert names == [f"table{number}" for number in range(1, 19)]
    for name in (*names, "tables"):
        check_latex((tmp_path / "tables" / "fun" / f"{name}.tex").read_text())
    differing = {
        tuple(row[name] for name in ("table", "panel", "row", "dataset", "column", "metric"))
        for row in rows
        if not _prints(row["mean"], row["published_mean"]) or not _prints(row["std"], row["published_std"])
    }
    assert differing == CONTRADICTIONS
    for name, *place in CONTRADICTIONS:
        assert BY_NAME[name].errata(Place(*place))


def _prints(ours: str, theirs: str) -> bool:
    decimals = len(theirs.partition(".")[2])
    return not theirs or f"{float(ours):.{decimals}f}" == theirs


def test_the_lowest_language_is_the_printed_one_but_for_wrong_labels(complete: Results) -> None:
    """Errata F10 to F12, F35 and F36: a label of Table 2 or 14 that the other table or the dataset contradicts."""
    differing = {
        (name, place.panel, place.dataset, cell.published.language)
        for name, grid in fill(complete).items()
        for place, cell in grid.cells.items()
        if place.column == "lowest" and cell.published and cell.published.language != cell.language
    }
    assert differing == {
        ("table14", "mbert", "mlqa", "th"),
        ("table14", "mbert", "xquad", "ar"),
        ("table14", "xlmr", "xquad", "ar"),
        ("table14", "xlmr", "xcopa", "hi"),
    }


def test_bold_and_underline_are_the_printed_ones_but_for_errata(complete: Results) -> None:
    with (PAPER.folder / "numbers.csv").open(encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if row["language"] == "avg" and row["table"] in ("1", "2", "11", "14")
        ]
    printed = {
        (f"table{row['table']}", row["model"], row["method"], row["dataset"], row["data_size"], row["metric"]): row[
            "note"
        ]
        for row in rows
    }
    names = {"best": "bold", "second": "underline", None: ""}
    differing = set()
    for name in ("table1", "table2", "table11", "table14"):
        for place, cell in fill(complete)[name].cells.items():
            size = place.column if name == "table11" else "full"
            if BY_NAME[name].over(place.column).average:
                note = printed[name, place.panel, place.row, place.dataset, size, place.metric]
                if note != names[cell.rank]:
                    differing.add((name, place.panel, place.dataset, place.metric, place.row, note))
    assert differing == {
        ("table1", "mbert", "mlqa", "em", "gu", "bold"),
        ("table1", "mbert", "mlqa", "em", "fun", "underline"),
        ("table1", "mbert", "xquad", "em", "gu", "bold"),
        ("table1", "mbert", "xquad", "em", "fun", "underline"),
        ("table1", "mbert", "xquad", "em", "rand", ""),
        ("table1", "mbert", "xcopa", "accuracy", "fun", "underline"),
        ("table1", "mbert", "xcopa", "accuracy", "std", ""),
        ("table1", "xlmr", "xnli", "accuracy", "fun", "underline"),
        ("table1", "xlmr", "xnli", "accuracy", "std", ""),
        ("table14", "xlmr", "xcopa", "accuracy", "gu", "underline"),
    }


def test_no_synthetic_record_enters_a_table_unasked(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tables", "--results", str(full), "--out", str(tmp_path)]) == 0
    rows = written(tmp_path)
    assert len(rows) > 912  # every place of every table
    assert {(row["mean"], row["std"], row["rank"]) for row in rows} == {("", "", "")}
    assert {row["n"] for row in rows} == {"0", ""}
    # Language adapters that the hub lacks: mBERT's Italian, Tamil and Thai; mDeBERTa's English and 17 target languages.
    assert f"{21 + 368} runs are missing" in capsys.readouterr().out
    lines = (tmp_path / "tables" / "fun" / "missing.txt").read_text().splitlines()
    assert all("task=mlm" in line for line in lines[:21])
    assert lines[21] == "# done: its record is marked synthetic and never enters a table"
    assert len(lines) == 21 + 1 + 368


# --- what is missing or wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (synthetic.remove, None),
        (synthetic.alter_a_byte, "checksum"),
        (synthetic.copy_with_other_values, "several folders have this run_id, and they do not hold the same"),
        (synthetic.write_nan, "NaN is not a finite number"),
        (synthetic.make_older, "schema: found 0, expected 2"),
    ],
)
def test_a_spoilt_run_is_a_gap_in_every_cell_that_needs_it(
    full: Path, complete: Results, tmp_path: Path, spoil: Callable[[RunFolder], None], reason: str | None
) -> None:
    root = shutil.copytree(full, tmp_path / "results")
    spoilt = {random.Random(target.name).choice(target.needed()).overrides for target in TABLES}
    for overrides in spoilt:
        config = configuration(overrides)
        spoil(run_folder(config, root))
    results = results_of(all_needed(), Store(root, allow_marked=True))
    _check_gaps(complete, results, dict.fromkeys(spoilt))
    lines = missing(all_needed(), results)
    comments = [line for line in lines if line.startswith("#")]
    assert len(lines) - len(comments) == len(spoilt)
    assert all(re.search(re.escape(reason), comment) for comment in comments) if reason else not comments


def test_a_missing_language_is_a_gap_in_every_cell_over_it(full: Path, complete: Results, tmp_path: Path) -> None:
    root = shutil.copytree(full, tmp_path / "results")
    spoilt: dict[tuple[str, ...], tuple[str, str] | None] = {}
    for target in TABLES:
        chosen = random.Random(target.name)
        run = chosen.choice(target.needed())
        dataset = chosen.choice(sorted({name for name, _, _ in run.values}))
        language = chosen.choice(PAPER.datasets[dataset].targets)
        if run.overrides in spoilt:
            continue
        spoilt[run.overrides] = (dataset, language)
        config = configuration(run.overrides)
        folder = run_folder(config, root)
        synthetic.remove_language(folder, dataset, language)
    results = results_of(all_needed(), Store(root, allow_marked=True))
    _check_gaps(complete, results, spoilt)
    comments = [line for line in missing(all_needed(), results) if line.startswith("#")]
    assert set(comments) == {f"# done, but without {dataset} in {language}" for dataset, language in spoilt.values()}  # type: ignore[misc]


def _check_gaps(complete: Results, results: Results, spoilt: Mapping[tuple[str, ...], tuple[str, str] | None]) -> None:
    """Cells over a spoilt run (whole, or a dataset's language of it) are gaps; all others are as they were."""
    before, gaps = fill(complete), 0
    for name, grid in fill(results).items():
        assert grid.cells.keys() == before[name].cells.keys()
        for place, cell in grid.cells.items():
            intact = before[name].cells[place]
            affected = _affected(BY_NAME[name], place, intact, spoilt)
            if affected == 0:
                assert cell.statistic == intact.statistic
                continue
            gaps += 1
            assert cell.rank is None
            if affected is None:
                assert cell.statistic is None
                assert cell.language is None
                continue
            assert cell.statistic is not None
            assert intact.statistic is not None
            assert (cell.statistic.mean, cell.statistic.std) == (None, None)
            assert cell.statistic.n == intact.statistic.declared - affected
            assert printed(cell.statistic) == f"{cell.statistic.n}/{intact.statistic.declared}"
    assert gaps > len(TABLES)


def _affected(
    target: Table, place: Place, intact: cells.Cell, spoilt: Mapping[tuple[str, ...], tuple[str, str] | None]
) -> int | None:
    """How many of a cell's values are gone; None where it is not known any more which language is lowest."""
    dataset = target.datasets[place.dataset]

    def gone(row: str, languages: tuple[str, ...]) -> int:
        lost = [spoilt[run] for run in synthetic.runs(target, replace(place, row=row)) if run in spoilt]
        return sum(what is None or (what[0] == place.dataset and what[1] in languages) for what in lost)

    over = target.over(place.column)
    if over != LOWEST:
        return gone(place.row, over.languages(dataset))
    deciding = place.row if place.dataset in target.own_lowest else str(target.lowest)
    return None if gone(deciding, dataset.targets) else gone(place.row, (str(intact.language),))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["tables", "--model", "bert"], "no table of 'fun' has a variant for model 'bert'"),
        (["table", "figure2"], "'figure2' is a figure: type python -m reproduce figure figure2"),
        (["table", "table15", "--model", "micro"], "unknown target 'table15-micro'; valid targets: "),
        (["table", "table1", "--results", "nowhere"], "nowhere, which is no folder; expected one with runs/ in it"),
        (["table", "table5", "--out", f"{__file__}/x"], "x, which is no folder to write to: Not a directory"),
    ],
)
def test_a_mistyped_command_is_told_in_one_line(
    typed: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert message in told


ANOTHER_PAPER = """
title: Another paper
datasets:
  micronli: {label: MicroNLI, overrides: task=mnli, targets: [l1, l2], metrics: {accuracy: Accuracy}}
targets:
  table1:
    kind: table
    title: "Table 1: learning rates as replicates"
    overrides: model=micro adapter=madx data_size=full
    replicates: [train.lr=1e-4, train.lr=2e-4]
    columns: {average: {}}
    panels: {micro: {label: micro, overrides: ""}}
    rows: {gu: {label: GU, overrides: schedule=gu}}
    blocks: [[micronli]]
"""


def test_a_second_paper_is_a_folder_and_disturbs_nothing(tmp_path: Path) -> None:
    shutil.copytree(PAPER.folder, tmp_path / "papers" / "fun")
    (tmp_path / "papers" / "another").mkdir()
    (tmp_path / "papers" / "another" / "paper.yaml").write_text(ANOTHER_PAPER)
    known = papers.targets(tmp_path / "papers")
    assert set(known) == {*(name for name, target in KNOWN.items() if target.paper.name == "fun"), "another/table1"}
    assert papers.find("fun/table1", None, known).needed() == KNOWN["table1"].needed()
    assert main(["tables", "another", "--results", str(tmp_path)], tmp_path / "papers") == 0
    written = tmp_path / "tables" / "another"
    assert "0/2" in (written / "table1.tex").read_text()
    assert r"\input{table1}" in (written / "tables.tex").read_text()
    assert len((written / "missing.txt").read_text().splitlines()) == 2


def test_the_store_refuses_a_record_with_nan(tmp_path: Path) -> None:
    config = configuration(("model=micro", "task=mnli", "schedule=std", "seed=0"))
    with pytest.raises(InvalidRecord, match=r"found nan"):
        synthetic.write_run(tmp_path, config, {"micronli": {"l1": {"accuracy": math.nan}}})
    run = run_folder(config, tmp_path)
    assert run.status().failure == "method"


def test_copies_with_the_same_values_count_once(full: Path, tmp_path: Path) -> None:
    needed = TABLES[0].needed()[0]
    config = configuration(needed.overrides)
    for label in ("one", "two"):
        source = run_folder(config, full).path
        shutil.copytree(source, tmp_path / "runs" / "squad" / "mbert" / f"{label}-{run_id(config)}")
    result = Store(tmp_path, allow_marked=True)(needed)
    assert isinstance(result, Done)
    assert result.lacks == ""


def test_a_run_trained_by_several_versions_is_a_mix_of_itself(complete: Results) -> None:
    result = next(iter(complete.values()))
    assert isinstance(result, Done)
    code = [{"update": update, "git_sha": sha * 40, "git_dirty": False} for update, sha in ((1, "a"), (5, "b"))]
    environment = {"git_sha": "b" * 40, "git_dirty": False, "code": code}
    assert "mixes code versions aaaaaaaaaa, bbbbbbbbbb" in cells.notes_on(
        [result.record.model_copy(update={"environment": environment})]
    )


def test_cells_that_mix_semantics_or_versions_say_so_in_every_table(complete: Results) -> None:
    mixed: dict[tuple[str, ...], Done] = {}
    for overrides, result in complete.items():
        assert isinstance(result, Done)
        mixed[overrides] = synthetic.of_other_code(result) if "seed=1" in overrides else result
    mixed_semantics = f"mixes semantics numbers {SEMANTICS}, {SEMANTICS + 1}"
    for grid in fill(mixed).values():
        for cell in grid.cells.values():
            assert mixed_semantics in cell.notes
            assert "mixes code versions 0000000000, ffffffffff" in cell.notes
        assert mixed_semantics in to_latex(of_results(grid))
        assert mixed_semantics in plain(of_results(grid)).replace("\n", " ")
