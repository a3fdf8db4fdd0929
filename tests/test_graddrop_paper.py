"""The third paper: its runs as declared, its numbers from made-up records, its figures from the printed ones."""

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import pytest

from fun.results import Record, RunFolder, State
from reproduce.declare import claims
from reproduce.declare.figures import ByLanguage, Epochs, TStatistics
from reproduce.declare.papers import PAPERS, load
from reproduce.declare.parts import Needed, Run, merged
from reproduce.declare.settings import Settings
from reproduce.declare.tables import Place, Table
from reproduce.numbers import cells, settings
from reproduce.numbers.claims import Result, check
from reproduce.numbers.statistics import paired_t
from reproduce.runs.store import Absent, Done, Results, configuration
from reproduce.show.figures.drawing import drawing
from reproduce.show.latex import to_latex
from reproduce.show.view import of_results, view
from tests.golden import make
from tests.latex import check_latex

PAPER = load(PAPERS / "graddrop")
TABLES = [target for target in PAPER.targets.values() if isinstance(target, Table) and target.published]
ONCE = [table for table in TABLES if not table.stem.endswith("-seeds")]
NINE = ONCE[:9]
VARIANTS = ("graddrop", "anneal_graddrop", "anneal_layer_graddrop", "layer_graddrop", "graddrop_epoch")

Values = dict[Run, dict[str, dict[str, dict[str, float]]]]
"""Run -> data set -> language -> metric, in percent."""


def rows(file: str) -> list[dict[str, str]]:
    with (PAPER.folder / file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def unseeded(run: Run) -> Run:
    return tuple(part for part in run if not part.startswith("seed="))


def printed_values(rounding: float) -> Values:
    """What single runs would have measured: each language as printed, moved by up to `rounding` to suit the average."""
    values: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for table in NINE:
        for panel, row, name in ((p, r, d) for p in table.panels for r in table.rows for d in table.datasets):
            dataset, metric = table.datasets[name], table.datasets[name].main_metric
            numbers = {c: table.number(Place(panel, row, name, c, metric)) for c in table.columns}
            means = {c: float(number.mean) for c, number in numbers.items() if number and c != "average"}
            average = numbers["average"]
            if table.rows[row].quoted or average is None:
                continue
            shift = (float(average.mean) - fmean(means.values())) / 2
            for column, mean in means.items():
                (source,) = table.sources(Place(panel, row, name, column, metric))
                ((language, run),) = source.items()
                values[run][dataset.reads][language][metric] = mean + (shift if abs(shift) <= rounding else 0.0)
    return values


def results_of(needed: Iterable[Needed], values: Values) -> Results:
    """Done runs where there are values; `values` of runs without a seed of theirs serve all seeds."""
    found: dict[Run, Done | Absent] = {}
    for run in needed:
        own = values.get(run.overrides)
        record = Record.sealed(make.content(make.identity(run.overrides), own)) if own else None
        found[run.overrides] = Done(record, RunFolder(Path("nowhere"), "")) if record else Absent(State.MISSING)
    return found


@pytest.fixture(scope="module")
def printed() -> Results:
    needed = merged(run for target in PAPER.targets.values() for run in target.needed())
    return results_of(needed, printed_values(0.005))


# --- declarations -------------------------------------------------------------------------------------------


def test_73_configurations_73_and_219_runs_are_declared() -> None:
    once = {run.overrides for table in ONCE for run in table.needed()}
    seeds = {run.overrides for table in TABLES if table not in ONCE for run in table.needed()}
    assert (len({unseeded(run) for run in once}), len(once), len(seeds)) == (73, 73, 219)
    assert {unseeded(run) for run in seeds} == {unseeded(run) for run in once}
    per_task = Counter(next(part for part in run if part.startswith("task=")) for run in once)
    assert sorted(per_task.values()) == [8] * 8 + [9]
    # Figures and Table X need no further run.
    drawn = {run.overrides for name in ("figure2", "figure3", "figure4") for run in PAPER.targets[name].needed()}
    assert drawn < once
    assert {run.arguments[-1] for run in PAPER.targets["figure2"].needed()} == {"track.tests_every=epoch"}


def test_every_printed_number_stands_in_one_cell() -> None:
    printed = sorted((row["table"], row["mean"]) for row in rows("numbers.csv"))
    placed = [(table.published["table"], table.number(place)) for table in ONCE for place in table.places()]
    assert sorted((table, number.mean) for table, number in placed if number) == printed
    assert len(printed) == 858


def test_57_errata_are_shown() -> None:
    shown = {text for table in ONCE for place in table.places() for text in table.errata(place)}
    shown |= {text for table in ONCE for name in table.datasets for text in table.dataset_errata(name)}
    of_settings = [target for target in PAPER.targets.values() if isinstance(target, Settings)]
    shown |= {text for table in of_settings for value in settings.fill(table) for text in value.errata}
    assert {row["text"] for row in rows("errata.csv")} == shown
    assert {row["erratum"] for row in rows("errata.csv")} == {f"G{number}" for number in range(1, 58)}


def test_what_is_ours_beside_the_paper_s_takes_few_runs_more() -> None:
    def runs(*names: str) -> set[Run]:
        return {run.overrides for name in names for run in PAPER.targets[name].needed()}

    assert len(runs("table7-without-esl") - runs("table7-seeds")) == 3
    assert {part for run in runs("table7-without-esl") - runs("table7-seeds") for part in run} >= {
        "task=pos", "task.training_set=pos_without_esl"}  # fmt: skip
    # Three lines of four seeds; those of the companions' three seeds are the companions' own.
    assert (len(runs("rate-micro")), len(runs("rate-micro") - runs("companions-micro"))) == (12, 3)
    rates = {configuration(run).train.lr for run in runs("rate-micro")}
    assert sorted(rates) == pytest.approx([0.001 * 0.8**0.5, 0.001], rel=1e-3)


def test_claims_on_the_miniature_read_what_its_tables_are_made_from() -> None:
    statements = claims.load(PAPER)
    asked = {run.overrides for run in statements.needed(statements.scopes["miniature"])}
    assert set() < asked <= {run.overrides for run in PAPER.targets["table10-micro"].needed()}
    assert {column.label for column in statements.scopes["miniature"].columns.values()} == {"Average"}


def test_readings_of_dropout_and_the_matched_learning_rate() -> None:
    def values(*overrides: str) -> tuple[float, float | None]:
        config = configuration(("model=xlmr_large", "adapter=full", "data_size=full", "paper=graddrop", *overrides))
        assert (config.train.epochs, config.train.eval_every, config.keep) == (10, "epoch", "predictions")
        assert {source.partition(":")[0] for source in config.looked_up.values()} <= {"ours", "section IV"}
        return config.train.lr, config.train.dropout

    sft = {setting: values("task=pos", "schedule=std", f"setting={setting}") for setting in (1, 2, 3, 4)}
    assert sft == {1: (2e-5, 0.2), 2: (2e-5, 0.0), 3: (2e-5, 0.1), 4: (pytest.approx(2e-5 * 0.8**0.5, rel=1e-3), 0.0)}
    for task, lr in (("mnli", 5e-6), ("wpr", 5e-6), ("squad", 1e-5)):
        assert values(f"task={task}", "schedule=std") == (lr, 0.2)
        assert values(f"task={task}", "schedule=gradfreeze_topdown") == (lr, 0.2)
        assert values(f"task={task}", "schedule=std", "mask=layer_graddrop") == (lr, 0.0)
        assert values(f"task={task}", "setting=4", "schedule=std")[0] == pytest.approx(lr * 0.8**0.5, rel=1e-3)


def test_every_run_of_the_miniatures_and_of_the_methods_composes() -> None:
    together = load(PAPERS / "together")
    targets = [*PAPER.targets.values(), *together.targets.values()]
    runs = {unseeded(run.overrides) for target in targets for run in target.needed()}
    configs = [configuration(run) for run in runs]
    assert len(configs) > 250
    # Masks and schedules by epoch have several of them on the miniature world too.
    assert {c.train.epochs for c in configs if c.model.name == "micro" and c.task.trains} == {6}


# --- as published -------------------------------------------------------------------------------------------


def prints(ours: float, theirs: str) -> bool:
    return abs(ours - float(theirs)) <= 0.5 * 10 ** -len(theirs.partition(".")[2]) + 1e-6


def test_all_numbers_regenerate_but_for_errata(printed: Results) -> None:
    """Of the nine tables the 21 averages that misfit; of Table X what it has from them, or from elsewhere."""
    differing: Counter[str] = Counter()
    compared = 0
    for table in ONCE:
        for place, cell in cells.fill(table, printed).cells.items():
            if cell.published is None or cell.quoted:
                continue
            compared += 1
            assert cell.statistic is not None
            assert cell.statistic.mean is not None, place
            if not prints(cell.statistic.mean, cell.published.mean):
                differing[table.stem] += 1
                assert cell.errata, (table.stem, place)
                assert table.over(place.column).average
    quoted = sum("_reported" in r["method"] or r["method"] in ("filter", "filter_self_teaching", "unicoder",
                 "xlmr_large_translate_train") for r in rows("numbers.csv"))  # fmt: skip
    assert compared == 858 - quoted
    assert differing == {"table1": 3, "table2": 3, "table3": 1, "table4": 1, "table5": 6, "table7": 4, "table8": 1,
                         "table9": 2, "table10": 18 + 9 + 8}  # fmt: skip


def test_a_score_is_the_mean_of_nine_averages_and_none_without_one_language(printed: Results) -> None:
    table = PAPER.targets["table10"]
    assert isinstance(table, Table)
    place = Place("xlmr_large", "layer_graddrop", "xglue", "average", "xglue_score")
    averages = []
    for name in PAPER.datasets["xglue"].mean_of:
        own = table.rows["layer_graddrop"].published["method"]
        reads = PAPER.datasets[name].printed(PAPER.datasets[name].main_metric)["dataset"]
        averages.append(fmean(float(r["mean"]) for r in rows("numbers.csv") if r["method"] == own
                              and r["dataset"] == reads and r["language"] != "avg"))  # fmt: skip
    statistic = cells.fill(table, printed).cells[place].statistic
    assert statistic is not None
    assert statistic.mean == pytest.approx(fmean(averages), abs=0.002)
    run = next(run for run in printed if "task=ner" in run and "mask=layer_graddrop" in run and "seed=0" in run)
    gap = cells.fill(table, {**printed, run: Absent(State.MISSING)})
    assert [cell.statistic.n for at, cell in gap.cells.items() if cell.statistic and at.row == "layer_graddrop"
            and at.dataset in ("ner", "xglue", "qam")] == [0, 1, 0]  # fmt: skip
    check_latex(to_latex(of_results(gap)))


def test_what_the_paper_s_own_numbers_say_of_its_claims(printed: Results) -> None:
    statements = claims.load(PAPER)
    scope = statements.scopes["paper"]
    needed = {run.overrides: printed.get(run.overrides, Absent(State.MISSING)) for run in statements.needed(scope)}
    published = {each.claim.id: each.published for each in check(statements, scope, needed) if each.published}
    assert {name for name, outcome in published.items() if outcome.result is Result.unjudged} == {
        "best-after-three-epochs", "highest-t"}  # fmt: skip
    assert {name for name, outcome in published.items() if outcome.result not in (Result.holds, Result.unjudged)} == {
        "variants-above-sft-nc", "graddrop-above-sft-ner", "swahili-and-arabic"}  # fmt: skip


# --- figures ------------------------------------------------------------------------------------------------

T = {  # recomputed from the printed numbers by hand, Tables I to IX
    "graddrop": (4.28, 3.69, 18.36, -8.66, 4.29, -3.65, 1.30, 1.87, 5.02),
    "anneal_graddrop": (1.74, -0.54, 10.16, -2.46, 3.30, -2.45, -0.29, -0.30, 4.26),
    "anneal_layer_graddrop": (3.36, 0.06, 18.88, 0.41, 2.67, -2.60, 0.58, 10.10, 5.35),
    "layer_graddrop": (-0.08, 13.83, 10.73, 1.71, 7.37, -2.28, 2.17, 6.69, 7.46),
    "graddrop_epoch": (1.99, 2.05, 24.93, -0.86, 3.42, 0.12, 0.11, 9.46, 11.52),
}


def test_t_statistics_are_those_of_the_printed_numbers(printed: Results) -> None:
    assert paired_t([3.0, 5.0, 4.0], [1.0, 2.0, 3.0]) == pytest.approx(2 / (1 / math.sqrt(3)))  # of 2, 3, 1
    figure = PAPER.targets["figure3"]
    assert isinstance(figure, TStatistics)
    (level,) = drawing(figure, results_of(figure.needed(), printed_values(0.0))).draw().axes
    texts = [text.get_text() for text in level.texts]
    drawn = {row: [float(t) for t in texts[10 * n : 10 * n + 10]] for n, row in enumerate(VARIANTS)}
    for row, expected in T.items():
        assert drawn[row][:9] == pytest.approx(expected, abs=0.011)
    # Averages are those of the languages, not the printed ones, from which this was 3.09.
    assert drawn["layer_graddrop"][9] == max(drawn[row][9] for row in drawn)
    lost = next(run for run in printed if "task=qam" in run and "mask=graddrop" in run and "seed=0" in run)
    (gap,) = drawing(figure, {**printed, lost: Absent(State.MISSING)}).draw().axes
    assert [text.get_text() == "–" for text in gap.texts] == [n in (2, 9) for n in range(50)]


def test_by_language_differences_and_ratios(printed: Results) -> None:
    figure = PAPER.targets["figure4"]
    assert isinstance(figure, ByLanguage)
    above, below = drawing(figure, printed).draw().axes
    points, ratios = (next(line for line in level.lines if line.get_linestyle() == "None") for level in (above, below))
    assert points.get_ydata()[9] == pytest.approx(72.73 - 71.00, abs=0.01)  # type: ignore[index]  # sw
    assert ratios.get_ydata()[0] == pytest.approx(90.01 / 88.35, abs=1e-3)  # type: ignore[index]  # en
    without = {run: result for run, result in printed.items() if "mask" in " ".join(run)}
    for level in drawing(figure, defaultdict(lambda: Absent(State.MISSING), without)).draw().axes:
        assert not level.lines
        assert not level.get_yticks().size  # none are made up


def test_test_scores_by_epoch_are_averages_over_all_languages(tmp_path: Path) -> None:
    figure = PAPER.targets["figure2-micro"].model_copy(update={"replicates": ("seed=0", "seed=1")})
    assert isinstance(figure, Epochs)
    found: dict[Run, Done | Absent] = {}
    for number, run in enumerate(figure.needed()):
        reads = run.values[0][0]
        folder = RunFolder(tmp_path / str(number), "")
        folder.path.mkdir()
        scores = {language: {"accuracy": 10.0 * place, "f1": 10.0 * place} for place, language in enumerate(
            PAPER.datasets["micronli"].languages)}  # fmt: skip
        seed = int(run.overrides[-1].removeprefix("seed="))
        lines = [{"kind": "train", "update": 1, "loss": 1.0}] + [
            {"kind": "test", "update": 32 * epoch, "epoch": float(epoch), "scores": {reads: {
                language: {metric: value + epoch + 2 * seed for metric, value in own.items()}
                for language, own in scores.items()}}} for epoch in (1, 2, 3)]  # fmt: skip
        (folder.path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        record = Record.sealed(make.content(make.identity(run.overrides), {reads: scores}))
        found[run.overrides] = Done(record, folder)
    lost = next(run for run in found if "task=nc" in run and "mask=graddrop" in run)
    levels = drawing(figure, {**found, lost: Absent(State.MISSING)}).draw().axes
    nli = next(level for level in levels if level.get_title().startswith("MicroNLI"))
    marked = [line for line in nli.lines if line.get_marker() != "None"]
    assert len(marked) == len(figure.rows)
    assert list(map(float, marked[0].get_xdata())) == [1, 2, 3]  # type: ignore[arg-type]
    assert list(map(float, marked[0].get_ydata())) == [37, 38, 39]  # type: ignore[arg-type]  # 35, + epoch, + 1
    nc = next(level for level in levels if level.get_title().startswith("MicroNC"))
    assert [text.get_text() for text in nc.texts] == ["GradDrop 1/2 runs: no mean"]
    # As few as there are in the beginning: what is missing stands in lines that the part has room for.
    begun = {run: result if "task=nc" in run and "mask" not in " ".join(run) else Absent(State.MISSING)
             for run, result in found.items()}  # fmt: skip
    said = [text.get_text() for level in drawing(figure, begun).draw().axes for text in level.texts]
    assert said == [
        "GradDrop 0/2, Anneal-GradDrop 0/2, Anneal-Layer-GradDrop 0/2,\nLayer-GradDrop 0/2, GradDrop-Epoch 0/2 runs: no mean",
        *["none of 16 runs yet"] * 3,
    ]


# --- every method beside each other -------------------------------------------------------------------------


def test_methods_are_paired_by_seed_and_costs_are_those_of_all_runs_behind_a_number() -> None:
    target = load(PAPERS / "together").targets["methods-micro"]
    assert isinstance(target, Table)
    scores = {"std": (50.0, 60.0, 70.0), "gu": (52.0, 61.0, 75.0), "ewc": (49.0, 59.0, 69.0)}
    values: Values = {}
    for row, per_seed in scores.items():
        for column in ("source", "average"):
            for source, score in zip(target.sources(Place("micro", row, "micronli", column, "accuracy")), per_seed,
                                     strict=True):  # fmt: skip
                for run in source.values():
                    languages = PAPER.datasets["micronli"].languages
                    values[run] = {"micronli": {language: {"accuracy": score} for language in languages}}
    shown = view(target, results_of(target.needed(), values))
    (part,) = shown.parts
    assert [heading.label for heading in part.headings] == [
        "En", "Average", "− SFT", "updates", "seconds", "MiB", "parameters"]  # fmt: skip
    lines = {line.label: [slot.texts[0][0] for slot in line.slots] for line in part.lines}
    assert lines["GU"] == ["62.67±11.59", "62.67±11.59", "+2.67±2.08", "100", "1", "0", "1,000"]  # of 2, 1, 5
    assert lines["EWC"][2:5] == ["-1.00±0.00", "700", "7"]  # a run for each of seven languages
    assert lines["SFT"][2] == "–"
    assert lines["LoRA"][1:4] == ["0/3", "0/3", "0/3"]
    check_latex(to_latex(shown))
