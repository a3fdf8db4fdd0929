"""The second paper: its runs as declared, its settings as printed, its tables from synthetic records."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import pytest
import torch

from fun.fisher import diagonal
from fun.inputs import run_id
from fun.models.files import FISHER
from fun.results import Record, RunFolder, State
from reproduce.__main__ import main
from reproduce.declare import claims
from reproduce.declare.claims import Negative
from reproduce.declare.figures import Curve
from reproduce.declare.papers import PAPERS, load
from reproduce.declare.parts import Needed, Run, merged
from reproduce.declare.settings import Settings
from reproduce.declare.tables import Correlation, Place, Table
from reproduce.numbers import correlation, settings
from reproduce.numbers.claims import Value, check, correlated, evaluate
from reproduce.numbers.statistics import Summary
from reproduce.runs.store import Absent, Done, Results, configuration, producers
from reproduce.show.figures.drawing import drawing
from reproduce.show.latex import to_latex
from reproduce.show.view import view
from tests import synthetic
from tests.golden import make
from tests.latex import check_latex

L2 = load(PAPERS / "l2")
TABLES = [target for target in L2.targets.values() if isinstance(target, Table) and target.published]
STATEMENTS = claims.load(L2)
PAPER = STATEMENTS.scopes["paper"]
NOTHING_RUN = {run.overrides: Absent(State.MISSING) for run in STATEMENTS.needed(PAPER)}
WITH_STDS = ("table4", "table11", "table12", "table13")


def of_tables(*names: str) -> list[Run]:
    return [run.overrides for run in merged(n for table in TABLES if table.stem in names for n in table.needed())]


def named(runs: Iterable[Run]) -> set[str]:
    return {run_id(configuration(run)) for run in runs}


def unseeded(run: Run) -> Run:
    return tuple(part for part in run if not part.startswith("seed="))


# --- declarations -------------------------------------------------------------------------------------------


def test_117_configurations_and_239_runs_are_declared() -> None:
    """Spec 2: with table 14 counted once each, as its number of runs is unstated; ours are three."""
    parts = {
        "table1": (4 + 45 + 4, 3 * (4 + 45 + 4)),
        "table15": (2, 6),  # beside those of table 1: fr+en and its mixture
        "table3": (40, 40),
        "table14": (8, 8 * 3),
        "table6": (6, 18),
        **{f"table{number}": (2, 2) for number in range(19, 23)},
    }
    typed: list[Run] = []
    for name, (configurations, runs) in parts.items():
        of_table = [run for run in of_tables(name) if not named([run]) <= named(typed) or name == "table3"]
        typed += of_table
        assert (len({unseeded(run) for run in of_table}), len(of_table)) == (configurations, runs), name
    assert (sum(c for c, _ in parts.values()), sum(r for _, r in parts.values()) - 16) == (117, 239)
    assert named(typed) == named(of_tables(*(table.stem for table in TABLES)))
    once = [run for run in typed if "train.lr=1e-4" not in run or "seed=42" in run]
    assert len(named(once)) == 231
    assert len(named([(*unseeded(run), "seed=42") for run in once])) == 109


def test_29_fishers_and_30_further_runs_of_the_figure() -> None:
    table5, figure1 = L2.targets["table5"], L2.targets["figure1"]
    assert isinstance(table5, Correlation)
    assert isinstance(figure1, Curve)
    fishers = [run.overrides for run in table5.needed() if "task=fisher" in run.overrides]
    assert len(named(fishers)) == 29
    tasks = [configuration(run).task for run in fishers]
    assert {(task.blocks, task.max_length, task.labels) for task in tasks} == {(10_000, 128, "sampled")}  # type: ignore[attr-defined]
    assert [len(table5.languages("wikipedia", name)) for name in table5.datasets] == [13, 14, 13, 5]
    assert [len(table5.languages("xnli", name)) for name in table5.datasets] == [13, 13, 12, 4]
    drawn = [run.overrides for run in figure1.needed()]
    assert len(named(drawn) - named(of_tables("table1"))) == 30
    read = {maker.overrides for run in of_tables("table1", "table15") for maker in producers(configuration(run))}
    assert named(read) < named(fishers)
    assert len(named(read)) == 15


def test_every_setting_is_the_printed_one() -> None:
    for name, count in (("table10", 4 * 2 * 5 * 3), ("table16", 2 * 3 * 2)):
        target = L2.targets[name]
        assert isinstance(target, Settings)
        values = settings.fill(target)
        assert [value for value in values if value.differs] == []
        assert sum(bool(value.printed) for value in values) == count


def test_every_printed_number_stands_in_one_cell() -> None:
    with (L2.folder / "numbers.csv").open(encoding="utf-8") as file:
        printed = sorted((f"table{r['table']}", r["mean"], r["std"]) for r in csv.DictReader(file) if r["table"] != "5")
    placed = [(table.stem, table.number(place)) for table in TABLES for place in table.places()]
    assert sorted((name, number.mean, number.std) for name, number in placed if number) == printed
    assert len(printed) == 670 - 8


def test_38_printed_averages_are_those_of_their_languages() -> None:
    """But for the rounding of either: at most 0.0064 points."""
    differences = []
    for table in TABLES:
        for panel, row, name in product(table.panels, table.rows, table.datasets):
            columns = ["average", *table.datasets[name].targets]
            metric = table.datasets[name].main_metric
            printed = [table.number(Place(panel, row, name, c, metric)) for c in columns if c in table.columns]
            if len(printed) == len(columns) and all(printed):
                average, *languages = (float(number.mean) for number in printed if number)
                differences.append(abs(average - fmean(languages)))
    assert len(differences) == 38
    assert max(differences) < 0.00645


def test_every_erratum_is_shown() -> None:
    shown = {text for table in TABLES for place in table.places() for text in table.errata(place)}
    shown |= {text for table in TABLES for name in table.datasets for text in table.dataset_errata(name)}
    tables = [target for target in L2.targets.values() if isinstance(target, Settings)]
    shown |= {text for table in tables for value in settings.fill(table) for text in value.errata}
    with (L2.folder / "errata.csv").open(encoding="utf-8") as file:
        assert {row["text"] for row in csv.DictReader(file)} == shown


# --- as published -------------------------------------------------------------------------------------------

Values = dict[str, dict[str, dict[str, float]]]
"""run_id -> data set -> language -> the main metric, in percent."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with every run of every table of results, from which they come out as published."""
    values: Values = defaultdict(lambda: defaultdict(dict))
    # Stds first, then languages, and averages for what is left.
    for table in sorted(TABLES, key=lambda table: (table.stem not in WITH_STDS, -len(table.columns))):
        for panel in table.panels:
            for row in table.rows:
                for name in table.datasets:
                    _fill(values, table, panel, row, name)
    metrics: dict[Run, synthetic.Metrics] = {}
    for needed in _distinct(table for table in TABLES):
        own = values[run_id(configuration(needed.overrides))]
        main_metric = {dataset.reads: dataset.main_metric for dataset in L2.datasets.values()}
        metrics[needed.overrides] = {
            name: {language: {main_metric[name]: value} for language, value in languages.items()}
            for name, languages in own.items()
        }
    root = tmp_path_factory.mktemp("l2")
    synthetic.write_records(root, metrics)
    return root


def _distinct(tables: Iterable[Table]) -> list[Needed]:
    """A needed run for each run_id."""
    return list({run_id(configuration(run.overrides)): run for table in tables for run in table.needed()}.values())


def _fill(values: Values, table: Table, panel: str, row: str, name: str) -> None:
    """Give the runs of a row values with the printed means, and the printed stds of languages and of their average.

    What another table has said of a run stays; the others are moved for it.
    """
    dataset = table.datasets[name]
    metric, numbers = dataset.main_metric, {}
    for column in table.columns:
        if metric in table.metrics(column, dataset):
            numbers[column] = table.number(Place(panel, row, name, column, metric))
    by_language = {dataset.source if c == "source" else c: n for c, n in numbers.items() if c != "average" and n}
    average = numbers.get("average")
    places = {language: Place(panel, row, name, column, metric) for column in numbers
              for language in ([dataset.source] if column == "source" else
                               dataset.targets if column == "average" else [column])}  # fmt: skip
    means = {language: float(number.mean) for language, number in by_language.items()}
    if average:
        means = {language: float(average.mean) for language in dataset.targets} | means
        targets = [means[language] for language in dataset.targets]
        shift = (float(average.mean) - fmean(targets)) / 2
        means |= {language: means[language] + shift for language in dataset.targets if abs(shift) < 0.005}
    stds = {language: float(number.std) for language, number in by_language.items() if number.std}
    shapes = _shapes(stds, dataset.targets, float(average.std) if average and average.std else 0.0)
    for language, mean in means.items():
        replicates = [source[language] for source in table.sources(places[language]) if language in source]
        ids = [run_id(configuration(run)) for run in replicates]
        said = [values[run][dataset.reads].get(language) for run in ids]
        free = said.count(None)
        if free:
            rest = (mean * len(ids) - sum(value for value in said if value is not None)) / free
            for position, run in enumerate(ids):
                spread = stds[language] * shapes[language][position] if language in shapes else 0.0
                values[run][dataset.reads].setdefault(language, rest + spread)


C, W = ((-1.0, -1.0, 0.0, 1.0, 1.0), (1.0, -1.0, 0.0, -1.0, 1.0))
"""Two deviations of five runs, orthogonal, of sample std 1."""


def _shapes(stds: Mapping[str, float], targets: Iterable[str], std: float) -> dict[str, list[float]]:
    """Five deviations of sample std 1 per language, whose average, each times its own std, has `std`."""
    signs, balance = {}, 0.0
    for language in sorted((t for t in targets if t in stds), key=lambda t: -stds[t]):
        signs[language] = -1.0 if balance > 0 else 1.0
        balance += signs[language] * stds[language]
    if not signs:
        return {}
    together = fmean(stds[language] for language in signs)
    apart = balance / len(signs)
    cosine = min(1.0, sqrt(max(0.0, (std**2 - apart**2) / (together**2 - apart**2))))
    sine = sqrt(1 - cosine**2)
    return {language: [cosine * c + signs.get(language, 0.0) * sine * w if language in signs else c for c, w in zip(C, W, strict=True)]
            for language in stds}  # fmt: skip


def test_every_printed_mean_and_std_is_reproduced_but_for_errata(full: Path, tmp_path: Path) -> None:
    assert main(["tables", "l2", "--results", str(full), "--out", str(tmp_path), "--allow-marked"]) == 0
    rows = [
        row
        for table in TABLES
        for row in csv.DictReader((tmp_path / "tables" / "l2" / f"{table.stem}.csv").open(encoding="utf-8"))
        if row["published_mean"] and row["declared"]
    ]
    quoted = 15 + 16 + 15 + 7
    assert len(rows) == 670 - 8 - quoted
    assert all(row["n"] == row["declared"] for row in rows)
    differing = {
        (row["table"], row["row"], row["dataset"], row["column"])
        for row in rows
        if not _prints(row["mean"], row["published_mean"]) or not _prints(row["std"], row["published_std"])
    }
    assert differing == {("table1", "ewc", "pawsx", "average")}  # L1
    assert L2.targets["table1"].errata(Place("mbert", "ewc", "pawsx", "average", "accuracy"))  # type: ignore[attr-defined]


def _prints(ours: str, theirs: str) -> bool:
    decimals = len(theirs.partition(".")[2])
    return not theirs or abs(float(ours) - float(theirs)) <= 0.5 * 10**-decimals + 1e-6


def test_an_average_of_ewc_without_one_target_s_run_is_a_gap(full: Path, tmp_path: Path) -> None:
    root = tmp_path / "results"
    root.symlink_to(full)
    run = next(r for r in of_tables("table2") if "regularizer.languages=[sw]" in r and "seed=10" in r)
    folder = next(full.glob(f"runs/mnli/mbert/*-{run_id(configuration(run))}"))
    away = folder.rename(tmp_path / "away")
    try:
        assert main(["table", "l2/table2", "--results", str(root), "--out", str(tmp_path), "--allow-marked"]) == 0
    finally:
        away.rename(folder)
    with (tmp_path / "tables" / "l2" / "table2.csv").open(encoding="utf-8") as file:
        ewc = {row["column"]: row for row in csv.DictReader(file) if row["row"] == "ewc"}
    assert {column for column, row in ewc.items() if row["n"] != row["declared"]} == {"sw", "average"}
    assert (ewc["average"]["mean"], ewc["average"]["n"], ewc["average"]["declared"]) == ("", "2", "3")
    assert ewc["source"]["mean"].startswith("81.4")


# --- the correlation and the curve --------------------------------------------------------------------------


def made(
    needed: Iterable[Needed],
    folder: Path,
    scores: Mapping[str, Mapping[str, float]],
    squared: Mapping[str, float] = MappingProxyType({}),
) -> Results:
    """Runs with `scores` by an override of theirs, and for each language of `squared` a Fisher at that d² from English."""
    results: dict[Run, Done | Absent] = {}
    for run in needed:
        said = next((scores[part] for part in run.overrides if part in scores), {})
        measured = {
            dataset.reads: {language: {dataset.main_metric: value} for language, value in said.items()}
            for dataset in L2.datasets.values()
        }
        record = Record.sealed(make.content(make.identity(run.overrides), measured if said else {}))
        lang = next((part.removeprefix("lang=") for part in run.overrides if part.startswith("lang=")), None)
        at = RunFolder(folder / (lang or "trained"), "")
        if lang in squared:
            (at.path / FISHER).parent.mkdir(parents=True, exist_ok=True)
            angle = math.acos(1 - squared[lang])  # d² = 1 - Σ √(a b), of the squares of two directions 1 - cos
            fisher = {
                "bert.encoder.layer.0.bias": torch.tensor(
                    [math.cos(angle) ** 2, math.sin(angle) ** 2], dtype=torch.float64
                )
            }
            diagonal.write(fisher, at.path / FISHER, {"labels": "sampled", "language": lang})
        results[run.overrides] = Done(record, at) if said or lang in squared else Absent(State.MISSING)
    return results


SQUARED = {"en": 0.0, "de": 0.1, "es": 0.2, "fr": 0.3, "ja": 0.4, "zh": 0.5}
TRANSFER = {"de": 90.0, "es": 70.0, "fr": 80.0, "ja": 50.0, "zh": 60.0}


def test_the_correlation_is_pearson_s_of_squared_distances_and_mean_transfer(tmp_path: Path) -> None:
    """By hand: deviations -2…2 of d² and 20, 0, 10, -20, -10 of transfer give -80 / √(10 · 1000), of ranks the same."""
    table = L2.targets["table5"]
    assert isinstance(table, Correlation)
    seeds = {f"seed={seed}": {k: v + off for k, v in TRANSFER.items()} for seed, off in ((42, 3), (10, 0), (20, -3))}
    results = made(table.needed(), tmp_path, seeds, SQUARED)
    pairs = correlation.pairs(table, results, "wikipedia", "pawsx")
    assert pairs.squared == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert pairs.transfers == pytest.approx((90, 70, 80, 50, 60))
    r, _, rho, _ = pairs.coefficients(pairs.squared)
    assert (r, rho) == pytest.approx((-0.8, -0.8))
    shown = view(table, results)
    check_latex(to_latex(shown))
    assert [slot.texts[0][0] for slot in shown.parts[0].lines[0].slots][3] == "-0.800 (n=5, p=0.104) / -0.800"
    assert shown.parts[0].lines[0].slots[3].published == "-0.541"
    without = {language: squared for language, squared in SQUARED.items() if language != "zh"}
    gap = view(table, made(table.needed(), tmp_path / "gap", seeds, without))
    assert [slot.texts[0][0] for slot in gap.parts[0].lines[0].slots][3] == "4/5"


def test_every_correlation_is_to_be_negative(tmp_path: Path) -> None:
    """The farther the weaker, on every data set; without one Fisher nothing is judged."""
    table = L2.targets["table5"]
    assert isinstance(table, Correlation)
    languages = dict.fromkeys(language for name in table.datasets for language in L2.datasets[name].targets)
    squared = {"en": 0.0} | {language: n / 20 for n, language in enumerate(languages, 1)}
    falling = {language: 90.0 - n for n, language in enumerate(languages, 1)}
    claim = next(claim for claim in STATEMENTS.claims if isinstance(claim, Negative))
    seeds = dict.fromkeys(table.replicates, falling)
    results = made(table.needed(), tmp_path, seeds, squared)
    outcome = correlated(claim, PAPER, results)
    assert str(outcome) == "holds (8 of 8)"
    assert [finding.row.n for finding in outcome.findings] == [13, 13, 14, 13, 13, 12, 5, 4]
    rising = {"seed=42": falling, "seed=10": falling, "seed=20": {name: 900.0 - v for name, v in falling.items()}}
    turned = made(table.needed(), tmp_path, rising, squared)
    assert str(correlated(claim, PAPER, turned)) == "holds (8 of 8)"  # of means
    absent = table.fisher("wikipedia", "sw")
    lacking = correlated(claim, PAPER, {**results, absent: Absent(State.MISSING)})
    assert (str(lacking), lacking.missing) == ("incomplete: needs 1 more run", (absent,))


def test_the_curve_is_relative_to_the_reference_run_of_the_same_seed(tmp_path: Path) -> None:
    figure = L2.targets["figure1"].model_copy(update={"replicates": ("seed=42", "seed=10")})
    assert isinstance(figure, Curve)
    part = figure.parts["mbert"].model_copy(update={"datasets": ("pawsx",)})
    figure = figure.model_copy(update={"parts": {"mbert": part}})
    results: dict[Run, Done | Absent] = {}
    for needed in figure.needed():
        gain = next((float(p.split("=")[1]) for p in needed.overrides if "strength" in p), 0.0)
        base = 50.0 if "seed=42" in needed.overrides else 80.0
        scores = dict.fromkeys(TRANSFER, base * (1 + gain / 100)) | {"en": 90.0 + gain}
        results |= made([needed], tmp_path, {part: scores for part in needed.overrides if part.startswith("seed=")})
    sheet = drawing(figure, results).draw()
    above, below = sheet.axes
    means = [list(line.get_ydata()) for line in above.lines if line.get_marker() == "o"]
    assert means == [pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])]
    means = [list(line.get_ydata()) for line in below.lines if line.get_marker() == "o"]
    assert means == [pytest.approx([90.001, 90.01, 90.1, 91.0, 100.0])]
    assert above.get_xscale() == "log"
    lost = next(n.overrides for n in figure.needed() if "regularizer.strength=0.1" in n.overrides)
    gap, _ = drawing(figure, {**results, lost: Absent(State.MISSING)}).draw().axes
    (means,) = [list(line.get_ydata()) for line in gap.lines if line.get_marker() == "o"]
    assert means == pytest.approx([0.001, 0.01, math.nan, 1.0, 10.0], nan_ok=True)  # no line leads over it


# --- claims -------------------------------------------------------------------------------------------------


def test_claims_on_the_printed_numbers() -> None:
    checked = {each.claim.id: each.published for each in check(STATEMENTS, PAPER, NOTHING_RUN)}
    assert {name: str(outcome) for name, outcome in checked.items()} == {
        "l2-above-vanilla": "holds (4 of 4)",
        "ewc-below-vanilla": "holds (4 of 4)",
        "l2-gain-xnli": "holds (1 of 1)",
        "l2-above-frozen": "holds (6 of 6)",
        "l2-high-rate": "holds (4 of 4)",
        "l2-steadier": "holds (4 of 4)",
        "l2-steadier-source": "holds (4 of 4)",
        "distance-and-transfer": "holds in part (7 of 8)",
        "a-strength-between": "cannot be judged: a statement about curves; see figure 1",
    }
    steadier, correlated_, high = (checked[name] for name in ("l2-steadier", "distance-and-transfer", "l2-high-rate"))
    assert steadier
    assert correlated_
    assert high
    assert [finding.difference for finding in high.findings] == [10.45, 15.69, 11.24, 23.71]
    assert [finding.difference for finding in steadier.findings] == [-1.38, -0.75, -0.16, -0.56]
    for finding in steadier.findings:  # of four and four degrees of freedom F has a closed form
        y = finding.row.mean**2 / (finding.row.mean**2 + finding.over.mean**2)
        assert finding.other_p == pytest.approx(2 * y**2 * (3 - 2 * y), rel=1e-9)
    significant = {f.label: round(f.other_p or 0, 4) for f in correlated_.findings if (f.other_p or 0) < 0.05}
    assert significant == {  # as the specification has them
        "XNLI, Fishers on Wikipedia: r": 0.0110,
        "XNLI, Fishers on XNLI: r": 0.0007,
        "Wikiann, Fishers on XNLI: r": 0.0008,
        "PAWS-X, Fishers on XNLI: r": 0.0470,
    }


def test_a_spread_is_judged_by_the_std() -> None:
    claim = next(claim for claim in STATEMENTS.claims if claim.id == "l2-steadier")

    def judged(**values: tuple[float, ...]) -> str:
        return str(
            evaluate(claim, STATEMENTS, PAPER, lambda at: Value(Summary.of(values[at.row[:2]]), values[at.row[:2]]))
        )

    assert judged(l2=(50.0, 52.0), va=(70.0, 73.0)) == "holds (4 of 4)"
    assert judged(l2=(50.0, 53.0), va=(70.0, 73.0)) == "does not hold (0 of 4)"
    assert judged(l2=(50.0,), va=(70.0,)) == "cannot be judged: a number has no spread"


@pytest.mark.parametrize("scope", ["paper", "miniature"])
def test_claims_need_no_run_that_no_table_needs(scope: str) -> None:
    claimed = named(run.overrides for run in STATEMENTS.needed(STATEMENTS.scopes[scope]))
    shown = named(run.overrides for target in L2.targets.values() for run in target.needed())
    assert claimed < shown
    settings = [run for run in STATEMENTS.needed(STATEMENTS.scopes[scope]) if "setting=5" in run.overrides]
    assert len(settings) == 4 * 2


def test_the_paper_has_a_page_before_any_run_is_there(tmp_path: Path) -> None:
    assert main(["report", "l2", "--results", str(tmp_path)]) == 0
    page = (tmp_path / "report" / "l2.html").read_text(encoding="utf-8")
    assert "0 of 8 correlations complete" in page
    assert "-0.677" in page
    assert "Nothing to draw yet: none of its 36 runs" in page
