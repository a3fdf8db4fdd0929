"""A filled table as CSV, as LaTeX and as text for a terminal. The same results give the same bytes."""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from reproduce.declare.papers import AVERAGE, LOWEST, SOURCE, Place, Rank
from reproduce.numbers.cells import DECIMALS, Cell, Grid, Statistic
from reproduce.show import latex

WIDTH = 120
"""Columns of a terminal that the text fits into."""


def to_csv(grid: Grid) -> str:
    """One row per number. Means and stds in percent to six decimals, empty for an incomplete set."""
    rows = [_csv_row(grid.target.name, place, cell) for place, cell in grid.cells.items()]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def to_latex(grid: Grid) -> str:
    """The paper's layout in booktabs: blocks of datasets side by side, panels below each other."""
    notes = Footnotes()
    tabulars = [_tabular(grid, block, notes) for block in grid.target.table.blocks]
    title = f"{grid.target.table.title}. {_caption(grid)}"
    return latex.floating(grid.target.name, title, tabulars, notes.listed())


def to_text(grid: Grid) -> Group:
    """For a terminal of 120 columns: under each panel's name one part per dataset, more where one is too wide."""
    notes = Footnotes()
    table = grid.target.table
    parts: list[Text | RichTable] = [Text(table.title, style="bold"), Text(_caption(grid)), Text()]
    for panel, group in table.panels.items():
        parts.append(Text(group.label, style="bold reverse"))
        for dataset in table.datasets:
            shown = [c for c in table.columns if table.metrics(c, grid.target.datasets[dataset])]
            parts += [_part(grid, panel, dataset, columns, notes) for columns in _fitting(grid, shown)]
    parts += [Text(f"[{n}] {text}") for n, text in notes.listed()]
    return Group(*parts)


def plain(grid: Grid) -> str:
    """The text without colours and styles."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False)
    console.print(to_text(grid))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


class Footnotes:
    """Numbers texts from 1 in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> str:
        """The numbers of `texts` with commas between; empty for no text."""
        numbers = {self._numbers.setdefault(text, len(self._numbers) + 1) for text in texts}
        return ",".join(map(str, sorted(numbers)))

    def listed(self) -> list[tuple[int, str]]:
        return [(number, text) for text, number in self._numbers.items()]


def _csv_row(table: str, place: Place, cell: Cell) -> dict[str, str | int | None]:
    statistic, number = cell.statistic, cell.published
    return {
        "table": table,
        "panel": place.panel,
        "row": place.row,
        "dataset": place.dataset,
        "column": place.column,
        "language": cell.language,
        "metric": place.metric,
        "mean": _exact(statistic.mean if statistic else None),
        "std": _exact(statistic.std if statistic else None),
        "n": statistic.n if statistic else None,
        "declared": statistic.declared if statistic else None,
        "rank": cell.rank.value if cell.rank else None,
        "published_mean": number.mean if number else None,
        "published_std": number.std if number else None,
        "published_language": number.language if number else None,
        "note": "; ".join((*cell.notes, *cell.errata)),
    }


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def printed(statistic: Statistic | None, spread: bool = True) -> str:
    """As printed: `57.37±0.32`, `57.37` for one replicate, `3/4` for an incomplete set, a dash for none."""
    if statistic is None:
        return "–"
    if statistic.mean is None:
        return f"{statistic.n}/{statistic.declared}"
    std = "" if statistic.std is None or not spread else f"±{statistic.std:.{DECIMALS}f}"
    return f"{statistic.mean:.{DECIMALS}f}{std}"


@dataclass(frozen=True)
class _Stack:
    """The metrics of one cell in their order, and how the cell is shown."""

    cells: Sequence[Cell]
    spread: bool
    named: bool  # whether the cell names its language
    said: Collection[str]  # notes that the caption says

    def shown(self) -> list[tuple[str, Rank | None]]:
        """Each metric's number; once, where none of them has a number and all say the same."""
        if not self.cells:
            return [("–", None)]
        shown = [(printed(cell.statistic, self.spread), cell.rank) for cell in self.cells]
        complete = any(cell.statistic and cell.statistic.complete for cell in self.cells)
        return shown if complete else list(dict.fromkeys(shown))

    @property
    def language(self) -> str:
        """` (Th)` where the cell names its language."""
        return _in_brackets({cell.language for cell in self.cells if cell.language}) if self.named else ""

    def published(self) -> str:
        """As printed: `57.37±0.32 / 38.27±0.27`; empty where nothing is published."""
        numbers = [cell.published for cell in self.cells if cell.published]
        language = _in_brackets({number.language for number in numbers}) if self.named else ""
        return " / ".join(f"{n.mean}±{n.std}" if n.std else n.mean for n in numbers) + language

    @property
    def notes(self) -> Iterable[str]:
        return (note for cell in self.cells for note in cell.notes if note not in self.said)

    @property
    def errata(self) -> Iterable[str]:
        return (note for cell in self.cells for note in cell.errata)


def _in_brackets(languages: Iterable[str]) -> str:
    names = ", ".join(sorted(language.title() for language in languages))
    return f" ({names})" if names else ""


def _stack(grid: Grid, panel: str, row: str, dataset: str, column: str) -> _Stack:
    table = grid.target.table
    metrics = table.metrics(column, grid.target.datasets[dataset])
    cells = [grid.cells[Place(panel, row, dataset, column, metric)] for metric in metrics]
    named = table.over(column) == LOWEST and dataset in table.own_lowest
    return _Stack(cells, table.columns[column].spread, named, grid.notes)


def _dataset_label(grid: Grid, dataset: str) -> str:
    """With the metrics that every column shows: `MLQA (F1 / EM)`."""
    return f"{grid.target.datasets[dataset].label} ({' / '.join(_common_metrics(grid, dataset))})"


def _common_metrics(grid: Grid, dataset: str) -> list[str]:
    table, declared = grid.target.table, grid.target.datasets[dataset]
    shown = [table.metrics(column, declared) for column in table.columns]
    return [label for name, label in declared.metrics.items() if all(name in names for names in shown if names)]


def _column_label(grid: Grid, panel: str, dataset: str, column: str) -> str:
    """With its metrics, where it shows more than every column does: `En (F1 / EM)`."""
    table, declared = grid.target.table, grid.target.datasets[dataset]
    metrics = [declared.metrics[name] for name in table.metrics(column, declared)]
    more = f" ({' / '.join(metrics)})" if len(metrics) > len(_common_metrics(grid, dataset)) else ""
    over = table.over(column)
    names = {SOURCE: declared.source.title(), AVERAGE: "Average", LOWEST: "Lowest"}
    label = table.columns[column].label or names.get(over, over.title())
    return label + (_lowest_names(grid, panel, dataset, column) if over == LOWEST else "") + more


def _lowest_names(grid: Grid, panel: str, dataset: str, column: str) -> str:
    """The lowest language, and the published one where that is another: ` (Ar)`, ` (Hi, published: Ar)`.

    Nothing where each cell names its own.
    """
    table = grid.target.table
    if table.lowest is None or dataset in table.own_lowest:
        return ""
    cells = _stack(grid, panel, table.lowest, dataset, column).cells
    ours = {cell.language for cell in cells if cell.language}
    printed = {cell.published.language for cell in cells if cell.published} - ours
    names = [*(name.title() for name in ours), *(f"published: {name.title()}" for name in sorted(printed))]
    return f" ({', '.join(names)})" if names else ""


def _caption(grid: Grid) -> str:
    table = grid.target.table
    usual = len(table.replicates)
    parts = [f"Mean ± sample std over {usual} runs ({', '.join(table.replicates)})"]
    parts += [
        f"row {row.label}: over {len(row.replicates)} ({', '.join(row.replicates)})"
        for row in table.rows.values()
        if row.replicates
    ]
    over = {table.over(column) for column in table.columns}
    if AVERAGE in over:
        parts.append("an average is over the target languages")
    if not all(column.spread for column in table.columns.values()):
        parts.append("the std of a single language is in the CSV file")
    sentences = [f"{'; '.join(parts)}."]
    if table.lowest is not None:
        own = " and ".join(grid.target.datasets[name].label for name in table.own_lowest)
        each = f"; {own}: of each row, named in the cell" if own else ""
        sentences.append(f"Lowest: the lowest target language of row {table.rows[table.lowest].label}{each}.")
    sentences.append(f"n/{usual}: only n runs have the value, so there is no mean yet.")
    if table.published:
        sentences.append("Below each number the published one.")
    sentences += [f"Every number of ours: {note}." for note in grid.notes]
    return " ".join(sentences)


LABEL_WIDTH, GAP = 22, 3
"""Of a table in a terminal: the width of its first column, and the space between columns."""


def _fitting(grid: Grid, columns: Sequence[str]) -> list[list[str]]:
    """The columns in groups that fit side by side into the terminal, as few as possible."""
    groups: list[list[str]] = [[]]
    used = LABEL_WIDTH + GAP
    for column in columns:
        width = _width(grid, column) + GAP
        if groups[-1] and used + width > WIDTH:
            groups.append([])
            used = LABEL_WIDTH + GAP
        groups[-1].append(column)
        used += width
    return groups


def _width(grid: Grid, column: str) -> int:
    """A column's width in every part of the table: room for its label, and for a number with footnotes per metric."""
    table = grid.target.table
    number = "57.37±0.32" if table.columns[column].spread else "57.37"
    labels = {
        _column_label(grid, panel, name, column)
        for panel in table.panels
        for name, dataset in grid.target.datasets.items()
        if table.metrics(column, dataset)
    }
    numbers = {
        " / ".join(number for _ in table.metrics(column, dataset)) + " [1]" for dataset in grid.target.datasets.values()
    }
    return max(map(len, labels | numbers))


def _part(grid: Grid, panel: str, dataset: str, columns: Sequence[str], notes: Footnotes) -> RichTable:
    table = grid.target.table
    mark = notes.mark(grid.headings[dataset])
    part = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    part.add_column(_dataset_label(grid, dataset) + (f" [{mark}]" if mark else ""), width=LABEL_WIDTH)
    for column in columns:
        part.add_column(Text(_column_label(grid, panel, dataset, column)), width=_width(grid, column))
    for row, group in table.rows.items():
        stacks = [_stack(grid, panel, row, dataset, column) for column in columns]
        part.add_row(group.label or table.panels[panel].label, *(_rich_cell(stack, notes) for stack in stacks))
        if any(stack.published() for stack in stacks):
            part.add_row("  published", *(_rich_published(stack, notes) for stack in stacks), style="dim")
    return part


_RICH_STYLES = {Rank.best: "bold", Rank.second: "underline", None: ""}


def _rich_cell(stack: _Stack, notes: Footnotes) -> Text:
    shown = [Text(text, style=_RICH_STYLES[rank]) for text, rank in stack.shown()]
    mark = notes.mark(stack.notes)
    return Text(" / ").join(shown) + Text(stack.language + (f" [{mark}]" if mark else ""))


def _rich_published(stack: _Stack, notes: Footnotes) -> Text:
    mark = notes.mark(stack.errata)
    return Text(stack.published() + (f" [{mark}]" if mark else ""))


def _tabular(grid: Grid, block: Sequence[str], notes: Footnotes) -> str:
    """Panels below each other; under headings of their own only where those name the panel's lowest language."""
    table = grid.target.table
    columns = len(table.columns)
    pairs = [(dataset, column) for dataset in block for column in table.columns]
    heads, rules = [""], []
    for position, dataset in enumerate(block):
        first = 2 + position * columns
        label = latex.escape(_dataset_label(grid, dataset)) + latex.superscript(notes.mark(grid.headings[dataset]))
        heads.append(rf"\multicolumn{{{columns}}}{{c}}{{{label}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + columns - 1}}}")
    lines = [
        r"\begin{adjustbox}{max width=\textwidth}",
        rf"\begin{{tabular}}{{l{'c' * len(pairs)}}}",
        r"\toprule",
        latex.row(heads),
        "".join(rules),
    ]
    for number, panel in enumerate(table.panels):
        if number == 0 or table.lowest is not None:
            labels = [latex.escape(_column_label(grid, panel, dataset, column)) for dataset, column in pairs]
            heading = "Method" if any(row.label for row in table.rows.values()) else "Model"
            lines += [latex.row([heading, *labels]), r"\midrule"]
        lines += [*_latex_panel(grid, panel, pairs, notes), r"\midrule"]
    return "\n".join([*lines[:-1], r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}"])


def _latex_panel(grid: Grid, panel: str, pairs: Sequence[tuple[str, str]], notes: Footnotes) -> list[str]:
    table = grid.target.table
    lines: list[str] = []
    for row, group in table.rows.items():
        if lines and table.published:
            lines.append(latex.BETWEEN_ROWS)
        stacks = [_stack(grid, panel, row, dataset, column) for dataset, column in pairs]
        label = latex.escape(f"{table.panels[panel].label} {group.label}".strip())
        lines.append(latex.row([label, *(_latex_cell(stack, notes) for stack in stacks)]))
        if any(stack.published() for stack in stacks):
            published = [_latex_published(stack, notes) for stack in stacks]
            lines.append(latex.row([r"\quad\published{published}", *published]))
    return lines


_LATEX_STYLES = {Rank.best: r"\textbf{%s}", Rank.second: r"\underline{%s}", None: "%s"}


def _latex_cell(stack: _Stack, notes: Footnotes) -> str:
    shown = [_LATEX_STYLES[rank] % latex.escape(text) for text, rank in stack.shown()]
    return " / ".join(shown) + latex.escape(stack.language) + latex.superscript(notes.mark(stack.notes))


def _latex_published(stack: _Stack, notes: Footnotes) -> str:
    return latex.published(stack.published()) + latex.superscript(notes.mark(stack.errata))
