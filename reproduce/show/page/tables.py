"""Tables of results and of settings as the page shows them: each number with everything beside it, and its runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from reproduce.declare.over import LOWEST
from reproduce.declare.published import Number
from reproduce.declare.settings import Languages
from reproduce.declare.tables import Place, Rank
from reproduce.numbers.cells import Cell, Grid
from reproduce.numbers.explain import Behind, Explanation, explain, interval, selected_for
from reproduce.numbers.settings import Sheet
from reproduce.numbers.verdicts import Verdict
from reproduce.runs.store import Results
from reproduce.show.page.wording import VERDICTS, Reading, bounds, difference, number, probability
from reproduce.show.view import Footnotes

WIDE = 6
"""Columns from which a part of a table gets a line of its own."""


@dataclass(frozen=True)
class Heading:
    """A column's label and, where it is a code, the name that it stands for."""

    label: str
    name: str = ""


@dataclass(frozen=True)
class Shown:
    """A number as it is shown. `anchor` names the cell, and with `runs-` before it what is behind it.

    `ours` is `n/N` for an incomplete set; `notes` and `errata` are numbers of footnotes.
    """

    anchor: str
    ours: str
    complete: bool
    rank: Rank | None
    interval: str
    notes: tuple[int, ...]
    published: str
    errata: tuple[int, ...]
    difference: str
    verdict: str
    reading: Reading | None
    p: str


@dataclass(frozen=True)
class Line:
    """A row of one metric; `head` is its method's first. None stands for no such number.

    `metric` is empty where the part names it.
    """

    label: str
    metric: str
    head: bool
    cells: tuple[Shown | None, ...]


@dataclass(frozen=True)
class Part:
    """A panel's numbers on one dataset; `metric` is the only one, empty where there are several."""

    panel: str
    dataset: str
    metric: str
    errata: tuple[int, ...]
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]

    @property
    def wide(self) -> bool:
        return len(self.headings) >= WIDE


@dataclass(frozen=True)
class Values:
    """A row of what is behind numbers: a value per run. `shown` is None for a language that no number is about."""

    label: str
    values: tuple[str, ...]
    shown: Shown | None


@dataclass(frozen=True)
class Runs:
    """The runs behind one or more numbers of a row, and their values."""

    title: str
    runs: tuple[Behind, ...]
    selected_for: tuple[str, ...]
    rows: tuple[Values, ...]


@dataclass(frozen=True)
class TableView:
    """A table of results. `said` is what holds for all of it; `example` is a command that explains a number of it."""

    parts: tuple[Part, ...]
    runs: tuple[Runs, ...]
    notes: tuple[tuple[int, str], ...]
    said: tuple[str, ...]
    example: str


def table_view(grid: Grid, verdicts: Mapping[Place, Verdict], results: Results, root: Path) -> TableView:
    """Every number of a filled table, by panel and dataset, and the runs behind it."""
    notes = Footnotes()
    shown = {place: _shown(grid, place, cell, verdicts.get(place), notes) for place, cell in grid.cells.items()}
    table = grid.target
    parts = [_part(grid, panel, dataset, shown, notes) for dataset in table.datasets for panel in table.panels]
    explained = (explain(grid, results, verdicts, place, root) for place in grid.cells)
    behind = tuple(_behind(grid, explained, shown))
    last = list(grid.cells)[-1]
    example = f"python -m reproduce explain {grid.target.name} {last.panel} {last.row} {last.dataset} {last.column}"
    return TableView(tuple(parts), behind, tuple(enumerate(notes.texts, 1)), tuple(_said(grid)), example)


def _said(grid: Grid) -> Iterator[str]:
    """What the numbers are over, and the notes that all of ours have."""
    table = grid.target
    own = (f"; {row.label}: {_over(row.replicates)}" for row in table.rows.values() if row.replicates)
    yield f"Each number is over {_over(table.replicates)}{''.join(own)}."
    if table.lowest is not None:
        names = " and ".join(grid.target.datasets[name].label for name in table.own_lowest)
        each = f"; {names}: of each row, named in the cell" if names else ""
        yield f"Lowest: the target language in which {table.rows[table.lowest].label} is lowest{each}."
    for note in grid.notes:
        yield f"All numbers of ours: {note}."


def _over(replicates: Sequence[str]) -> str:
    return f"{len(replicates)} runs ({', '.join(replicates)})"


def anchor(grid: Grid, place: Place) -> str:
    """A name for a number that is fit for an address."""
    return ".".join((grid.target.name, place.panel, place.row, place.dataset, place.column, place.metric))


def _shown(grid: Grid, place: Place, cell: Cell, verdict: Verdict | None, notes: Footnotes) -> Shown:
    statistic, table = cell.statistic, grid.target
    spread = table.columns[place.column].spread
    named = table.over(place.column) == LOWEST and place.dataset in table.own_lowest
    complete = statistic is not None and statistic.mean is not None
    own = tuple(note for note in cell.notes if note not in grid.notes)
    return Shown(
        anchor=anchor(grid, place),
        ours=_ours(cell, spread) + _language(cell.language, named),
        complete=complete,
        rank=cell.rank,
        interval=bounds(interval(cell)),
        notes=_marks(notes, own),
        published=_printed(cell.published, named) if cell.published else "",
        errata=_marks(notes, cell.errata),
        difference=difference(verdict.difference if verdict else None),
        verdict=verdict.conclusion.value if verdict else "",
        reading=VERDICTS[verdict.conclusion] if verdict else None,
        p=probability(verdict.adjusted_p if verdict else None),
    )


def _ours(cell: Cell, spread: bool) -> str:
    statistic = cell.statistic
    if statistic is None:
        return "–"
    if statistic.mean is None:
        return f"{statistic.n}/{statistic.declared}"
    return number(statistic.mean, statistic.std if spread else None)


def _printed(printed: Number, named: bool) -> str:
    return (f"{printed.mean} ± {printed.std}" if printed.std else printed.mean) + _language(printed.language, named)


def _language(language: str | None, named: bool) -> str:
    return f" ({language.title()})" if named and language else ""


def _marks(notes: Footnotes, texts: Sequence[str]) -> tuple[int, ...]:
    return notes.number(texts)


def _part(grid: Grid, panel: str, dataset: str, shown: dict[Place, Shown], notes: Footnotes) -> Part:
    table, declared = grid.target, grid.target.datasets[dataset]
    columns = [name for name in table.columns if table.metrics(name, declared)]
    metrics = [name for name in declared.metrics if any(name in table.metrics(c, declared) for c in columns)]
    lines = [
        Line(
            label=group.label or table.panels[panel].label,
            metric=declared.metrics[metric] if len(metrics) > 1 else "",
            head=metric == metrics[0],
            cells=tuple(shown.get(Place(panel, row, dataset, column, metric)) for column in columns),
        )
        for row, group in table.rows.items()
        for metric in metrics
    ]
    return Part(
        panel=table.panels[panel].label,
        dataset=declared.label,
        metric=declared.metrics[metrics[0]] if len(metrics) == 1 else "",
        errata=_marks(notes, grid.headings[dataset]),
        headings=tuple(_heading(grid, panel, dataset, column) for column in columns),
        lines=tuple(lines),
    )


def _heading(grid: Grid, panel: str, dataset: str, column: str) -> Heading:
    table, declared = grid.target, grid.target.datasets[dataset]
    over, label = table.over(column), table.columns[column].label
    names = language_names(grid)
    if label is not None:
        return Heading(label)
    if over == LOWEST:
        return Heading(over.label(declared) + _lowest(grid, panel, dataset, column))
    return Heading(over.label(declared), "" if over.average else names.get(over.printed(declared), ""))


def _lowest(grid: Grid, panel: str, dataset: str, column: str) -> str:
    """The lowest language of a panel, and where it is another the printed one: ` (Hi; printed: Ar)`.

    Nothing where each cell names its own.
    """
    if dataset in grid.target.own_lowest:
        return ""
    cells = [
        cell
        for place, cell in grid.cells.items()
        if (place.panel, place.dataset, place.column) == (panel, dataset, column)
    ]
    ours = sorted({cell.language for cell in cells if cell.language})
    printed = sorted({cell.published.language for cell in cells if cell.published} - set(ours))
    names = [", ".join(map(str.title, ours)), f"printed: {', '.join(map(str.title, printed))}" if printed else ""]
    return f" ({'; '.join(filter(None, names))})" if any(names) else ""


def language_names(grid: Grid) -> dict[str, str]:
    """The names of languages by their code, as the paper declares them; none where it has no such table."""
    named = [target for target in grid.target.paper.targets.values() if isinstance(target, Languages)]
    return {"en": "English", **{code: name for target in named for code, name in target.names.items()}}


def _behind(grid: Grid, explained: Iterator[Explanation], shown: dict[Place, Shown]) -> Iterator[Runs]:
    """Numbers that come from the same runs of a row and dataset together."""
    groups: dict[tuple[object, ...], list[Explanation]] = {}
    for one in explained:
        key = (one.place.panel, one.place.dataset, one.place.row, *(run.run_id for run in one.runs))
        groups.setdefault(key, []).append(one)
    for group in groups.values():
        place, runs = group[0].place, group[0].runs
        table, dataset = grid.target, grid.target.datasets[place.dataset]
        labels = (table.panels[place.panel].label, table.rows[place.row].label, dataset.label)
        numbers = [_number_row(grid, one, shown[one.place]) for one in group]
        rows = (*numbers, *_language_rows(grid, group))
        yield Runs(" · ".join(filter(None, labels)), runs, tuple(map(selected_for, runs)), rows)


def _number_row(grid: Grid, one: Explanation, shown: Shown) -> Values:
    place = one.place
    heading = _heading(grid, place.panel, place.dataset, place.column)
    metric = grid.target.datasets[place.dataset].metrics[place.metric]
    values = tuple("–" if run.average is None else number(run.average) for run in one.runs)
    return Values(f"{heading.name or heading.label}, {metric}", values, shown)


def _language_rows(grid: Grid, group: Sequence[Explanation]) -> Iterator[Values]:
    """The languages of averages, but for those that are numbers themselves."""
    table, names = grid.target, language_names(grid)
    for one in group:
        if not table.over(one.place.column).average:
            continue
        dataset = grid.target.datasets[one.place.dataset]
        for language in (language for language in one.languages if language not in table.columns):
            values = tuple(number(run.values[language]) if language in run.values else "–" for run in one.runs)
            label = f"{names.get(language, language)}, {dataset.metrics[one.place.metric]}"
            yield Values(label, values, None)


@dataclass(frozen=True)
class Setting:
    """A value beside the printed one."""

    value: str
    printed: str
    differs: bool
    errata: tuple[int, ...]


@dataclass(frozen=True)
class SettingsPart:
    """A panel of a table of settings: rows of values."""

    panel: str
    rows: tuple[tuple[str, tuple[Setting, ...]], ...]


@dataclass(frozen=True)
class SettingsView:
    """A table of hyperparameters or data sets."""

    columns: tuple[str, ...]
    parts: tuple[SettingsPart, ...]
    notes: tuple[tuple[int, str], ...]
    same: int
    printed: int


def settings_view(sheet: Sheet) -> SettingsView:
    """Every value of a table of settings beside the printed one."""
    notes = Footnotes()
    parts = [
        SettingsPart(
            panel,
            tuple(
                (
                    row,
                    tuple(
                        Setting(cell.value, cell.printed, cell.differs, _marks(notes, cell.errata)) for cell in cells
                    ),
                )
                for _, row, cells in rows
            ),
        )
        for panel, rows in groupby(sheet.rows, key=lambda row: row[0])
    ]
    return SettingsView(sheet.columns, tuple(parts), tuple(enumerate(notes.texts, 1)), *sheet.compared)
