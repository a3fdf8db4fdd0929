"""What is behind a number of a table, as text for a terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from reproduce.declare.tables import Place
from reproduce.numbers.cells import Cell, Grid
from reproduce.numbers.explain import Behind, behind, languages_of
from reproduce.numbers.verdicts import Verdict
from reproduce.runs.store import Results


def to_text(grid: Grid, results: Results, verdict: Verdict | None, place: Place, root: Path) -> Group:
    """The number, a table of its runs, their folders, what to type for those that are missing."""
    table, cell, runs = grid.target, grid.cells[place], list(behind(grid, results, place, root))
    dataset, column = table.datasets[place.dataset], table.columns[place.column].label or place.column
    names = (table.panels[place.panel].label, table.rows[place.row].label, dataset.label, column)
    title = ", ".join(filter(None, (*names, dataset.metrics[place.metric])))
    lines = [f"{run.replicate}: {run.folder}" for run in runs]
    if lacking := [run for run in runs if run.to_type]:
        lines += ["", "To fill the gaps:"]
        for run in lacking:
            lines += [*([f"# {run.reason}"] if run.reason else []), run.to_type]
    return Group(
        Text(f"{table.name}: {title}", style="bold"),
        *(Text(f"  {line}") for line in (*_ours(cell), *_beside(cell, verdict))),
        Text(),
        _runs(runs, languages_of(grid, place)),
        *map(Text, lines),
    )


def signed(difference: float) -> str:
    """With its sign, to two decimals; what rounds to zero has none."""
    rounded = round(difference, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def _ours(cell: Cell) -> Iterator[str]:
    """What is known of our number, a line each."""
    statistic = cell.statistic
    if cell.quoted:
        yield "ours: none, the row is quoted from elsewhere"
    elif statistic is None:
        yield "ours: the lowest language is not known before the runs that name it are there"
    elif statistic.mean is None:
        yield f"ours: no mean yet, {statistic.n} of {statistic.declared} runs have the value"
    else:
        spread = f" ± {statistic.std:.2f}" if statistic.std is not None else ""
        interval = statistic.interval
        bounds = f", 95 % interval [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
        language = f" in {cell.language}" if cell.language else ""
        yield f"ours{language}: {statistic.mean:.2f}{spread} (n = {statistic.n}{bounds})"
        yield from cell.notes


def _beside(cell: Cell, verdict: Verdict | None) -> Iterator[str]:
    """The published number with its errata, and the verdict; nothing where none is published."""
    if (number := cell.published) is None:
        return
    runs = "runs unstated" if number.runs is None else f"n = {number.runs}"
    yield f"published: {' ± '.join(filter(None, (number.mean, number.std)))} ({runs})"
    yield from (f"erratum: {text}" for text in cell.errata)
    if verdict is None:  # of a quoted row
        return
    if verdict.difference is not None:
        yield f"difference: {signed(verdict.difference)} (margin ±{verdict.margin:g})"
    adjusted = "" if verdict.adjusted_p is None else f" (p = {verdict.adjusted_p:.3f} after Holm)"
    yield f"verdict: {verdict}{adjusted}"


def _runs(runs: Sequence[Behind], languages: Sequence[str]) -> RichTable:
    table = RichTable("", *(run.replicate for run in runs), box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_row("run_id", *(run.run_id for run in runs))
    table.add_row("state", *(run.state.value for run in runs))
    table.add_row("selected", *(f"update {run.selected['update']}" if run.selected else "–" for run in runs))
    selected = (run.selected for run in runs)
    table.add_row("  for", *(f"{best['metric']} {best['value']:.2f}" if best else "–" for best in selected))
    for language in languages:
        table.add_row(language, *(_number(run.values.get(language)) for run in runs))
    if len(languages) != 1:
        table.add_row("average", *(_number(run.average) for run in runs))
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
