"""From a number of a table to its runs: what was found of each, its values, and what became of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.errors import ConfigError
from fun.inputs import run_folder, run_id
from fun.results import State
from fun.results.record import Selected
from reproduce.declare.over import Over
from reproduce.declare.parts import Run
from reproduce.declare.tables import Place, Table
from reproduce.numbers.cells import Cell, Grid
from reproduce.numbers.statistics import Interval, Summary, mean
from reproduce.numbers.verdicts import Verdict
from reproduce.runs.store import Absent, Result, Results, command, configuration, value


@dataclass(frozen=True)
class Behind:
    """A run behind a number: of one of its declared replicates, in all its languages or in some.

    `folder` is relative to the results root. `values` are in percent by language, those that are there; `average` is
    what its replicate enters the number with, None where a language is missing. `reason` says what is wrong with the
    run, in one line, and `to_type` the command that fills the gap; both are empty where nothing is missing.
    """

    replicate: str
    run_id: str
    folder: str
    state: State
    selected: Selected | None
    values: Mapping[str, float]
    average: float | None
    reason: str
    to_type: str


@dataclass(frozen=True)
class Explanation:
    """A number of a table with everything behind it. `verdict` is None where nothing is published beside it.

    `languages`: those that it is over; empty where the lowest one is not known yet.
    """

    place: Place
    cell: Cell
    verdict: Verdict | None
    languages: tuple[str, ...]
    runs: tuple[Behind, ...]

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of our mean; None for an incomplete set and for one run."""
        return interval(self.cell)


def interval(cell: Cell) -> Interval | None:
    """The 95 % interval of a cell's mean; None for an incomplete set and for one run."""
    if cell.statistic is None or not cell.statistic.complete:
        return None
    estimate = mean(Summary.of(cell.statistic.present))
    return estimate.interval() if estimate else None


def places(table: Table, names: Sequence[str]) -> list[Place]:
    """The numbers that `panel row dataset column [metric]` name; all metrics of the cell without the last.

    A column may also be called as in the published numbers: `avg`, or the source language's code. Raises ConfigError
    that names the valid ones.
    """
    panel, row, dataset, column, *metric = names
    _among(panel, table.panels, "panel", table)
    _among(row, table.rows, "row", table)
    _among(dataset, table.datasets, "dataset", table)
    declared = table.datasets[dataset]
    columns = [name for name in table.columns if table.metrics(name, declared)]
    if column not in columns:
        column = next((name for name in columns if table.over(name).printed(declared) == column), column)
    _among(column, columns, "column", table)
    metrics = table.metrics(column, declared)
    for name in metric:
        _among(name, metrics, "metric", table)
    return [Place(panel, row, dataset, column, name) for name in metric or metrics]


def explain(grid: Grid, results: Results, verdicts: Mapping[Place, Verdict], place: Place, root: Path) -> Explanation:
    """What is behind a number of a filled table; `results` are those that it was filled from, below `root`."""
    table, cell = grid.target, grid.cells[place]
    over = Over(cell.language) if cell.language else table.over(place.column)
    languages = () if cell.language is None else over.languages(table.datasets[place.dataset])
    sources = table.sources(place)
    averages = cell.statistic.values if cell.statistic else (None,) * len(sources)
    behind = []
    replicates = table.replicates_of(place.row, place.dataset)
    for replicate, source, average in zip(replicates, sources, averages, strict=True):
        for run in dict.fromkeys(source[language] for language in languages or source):
            read = [language for language in languages if source[language] == run]
            values = _values(results[run], table.datasets[place.dataset].reads, read, place.metric)
            behind.append(_behind(replicate, run, results[run], values, average, root))
    return Explanation(place, cell, verdicts.get(place), languages, tuple(behind))


def to_text(table: Table, explanation: Explanation) -> Group:
    """For a terminal: the number, a table of its runs, their folders, what to type for those that are missing."""
    place = explanation.place
    dataset = table.datasets[place.dataset]
    names = (
        table.panels[place.panel].label,
        table.rows[place.row].label,
        dataset.label,
        table.columns[place.column].label or place.column,
        dataset.metrics[place.metric],
    )
    parts: list[Text | RichTable] = [
        Text(f"{table.name}: {', '.join(name for name in names if name)}", style="bold"),
        *(Text(f"  {line}") for line in (*ours(explanation), *beside(explanation))),
        Text(),
        _runs(explanation),
    ]
    parts += [Text(f"{run.replicate}: {run.folder}") for run in explanation.runs]
    if lacking := [run for run in explanation.runs if run.to_type]:
        parts += [Text(), Text("To fill the gaps:")]
        for run in lacking:
            parts += [Text(f"# {run.reason}")] if run.reason else []
            parts.append(Text(run.to_type))
    return Group(*parts)


def ours(explanation: Explanation) -> list[str]:
    """What is known of our number, a line each."""
    statistic, interval = explanation.cell.statistic, explanation.interval
    if explanation.cell.quoted:
        return ["ours: none, the row is quoted from elsewhere"]
    if statistic is None:
        return ["ours: the lowest language is not known before the runs that name it are there"]
    if statistic.mean is None:
        return [f"ours: no mean yet, {statistic.n} of {statistic.declared} runs have the value"]
    spread = f" ± {statistic.std:.2f}" if statistic.std is not None else ""
    bounds = f", 95 % interval [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
    language = f" in {explanation.cell.language}" if explanation.cell.language else ""
    return [f"ours{language}: {statistic.mean:.2f}{spread} (n = {statistic.n}{bounds})", *explanation.cell.notes]


def beside(explanation: Explanation) -> list[str]:
    """The published number with its errata, and the verdict; nothing where none is published."""
    number, verdict = explanation.cell.published, explanation.verdict
    if number is None:
        return []
    mean = f"{number.mean} ± {number.std}" if number.std else number.mean
    runs = "runs unstated" if number.runs is None else f"n = {number.runs}"
    lines = [f"published: {mean} ({runs})", *(f"erratum: {text}" for text in explanation.cell.errata)]
    if verdict is None:  # of a quoted row
        return lines
    if verdict.difference is not None:
        lines.append(f"difference: {signed(verdict.difference)} (margin ±{verdict.margin:g})")
    adjusted = "" if verdict.adjusted_p is None else f" (p = {verdict.adjusted_p:.3f} after Holm)"
    return [*lines, f"verdict: {verdict}{adjusted}"]


def _behind(
    replicate: str, run: Run, result: Result, values: Mapping[str, float], average: float | None, root: Path
) -> Behind:
    if isinstance(result, Absent):
        run_id, folder = _planned(run)
        reason = below(root, " ".join(result.reason.split()))
        to_type = command((*run, result.option) if result.option else run)
        return Behind(replicate, run_id, folder, result.state, None, values, average, reason, to_type)
    return Behind(
        replicate=replicate,
        run_id=result.record.run_id,
        folder=str(result.run.path.relative_to(root)),
        state=State.DONE,
        selected=result.record.selected,
        values=values,
        average=average,
        reason=f"done, but {result.lacks}" if result.lacks else "",
        to_type=command(run) if result.lacks else "",
    )


@cache
def _planned(run: Run) -> tuple[str, str]:
    """The run_id that a run would have, and its folder below the results root."""
    config = configuration(run)
    return run_id(config), str(run_folder(config, Path()).path)


def _values(result: Result, dataset: str, languages: Sequence[str], metric: str) -> dict[str, float]:
    if isinstance(result, Absent):
        return {}
    measured = {language: value(result.record, dataset, language, metric) for language in languages}
    return {language: number for language, number in measured.items() if number is not None}


def _runs(explanation: Explanation) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", *(run.replicate for run in explanation.runs)):
        table.add_column(name)
    table.add_row("run_id", *(run.run_id for run in explanation.runs))
    table.add_row("state", *(run.state.value for run in explanation.runs))
    updates = (f"update {run.selected['update']}" if run.selected else "–" for run in explanation.runs)
    table.add_row("selected", *updates)
    table.add_row("  for", *(selected_for(run) or "–" for run in explanation.runs))
    for language in explanation.languages:
        table.add_row(language, *(_number(run.values.get(language)) for run in explanation.runs))
    if len(explanation.languages) > 1:
        table.add_row("average", *(_number(run.average) for run in explanation.runs))
    return table


def selected_for(run: Behind) -> str:
    """The English validation that a run's checkpoint was selected for; empty for a run that is not done."""
    return f"{run.selected['metric']} {run.selected['value']:.2f}" if run.selected else ""


def below(root: Path, text: str) -> str:
    """A text whose paths below `root` begin there: no other part of a machine's paths is anybody's business."""
    return text.replace(f"{root}/", "")


def signed(difference: float) -> str:
    """With its sign, to two decimals; what rounds to zero has none."""
    rounded = round(difference, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _among(name: str, valid: Collection[str], what: str, table: Table) -> None:
    if name not in valid:
        raise ConfigError(f"{table.name} has no {what} '{name}'; valid: {', '.join(valid)}.")
