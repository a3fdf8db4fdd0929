"""A filled table as CSV, as LaTeX and as text for a terminal. The same results give the same bytes."""

import csv
import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from reproduce.cells import DECIMALS, Cell, Grid, Rank, Statistic
from reproduce.papers import Column, Place
from reproduce.published import Number

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
    table = grid.target.table
    tabulars = [_tabular(grid, block, notes) for block in table.blocks]
    lines = [
        r"% Needs \usepackage{adjustbox}, \usepackage{booktabs} and \usepackage{xcolor}.",
        r"\providecommand{\published}[1]{{\footnotesize\itshape\textcolor{gray}{#1}}}",
        r"\begin{table*}[t]",
        r"\centering\small",
        "\n\n\\medskip\n".join(tabulars),
        f"\\caption{{{_latex(f'{table.title}. {_caption(grid)}')}}}",
        f"\\label{{tab:{grid.target.name}}}",
        *(rf"\par\footnotesize\textsuperscript{{{n}}}\,{_latex(text)}." for n, text in notes.listed()),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def to_text(grid: Grid) -> Group:
    """For a terminal of 120 columns: under each panel's name one part per dataset."""
    notes = Footnotes()
    table = grid.target.table
    parts: list[Text | RichTable] = [Text(table.title, style="bold"), Text(_caption(grid)), Text()]
    for panel, group in table.panels.items():
        parts.append(Text(group.label, style="bold reverse"))
        parts += [_part(grid, panel, dataset, notes) for dataset in grid.target.datasets]
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
        "column": place.column.value,
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


def printed(statistic: Statistic | None) -> str:
    """As printed: `57.37±0.32`, `57.37` for one replicate, `3/4` for an incomplete set, a dash for none."""
    if statistic is None:
        return "–"
    if statistic.mean is None:
        return f"{statistic.n}/{statistic.declared}"
    spread = "" if statistic.std is None else f"±{statistic.std:.{DECIMALS}f}"
    return f"{statistic.mean:.{DECIMALS}f}{spread}"


def _shown_cells(cells: Sequence[Cell]) -> list[tuple[str, Rank | None]]:
    """The metrics of one cell in order; once, where none of them has a number and all say the same."""
    shown = [(printed(cell.statistic), cell.rank) for cell in cells]
    complete = any(cell.statistic and cell.statistic.complete for cell in cells)
    return shown if complete else list(dict.fromkeys(shown))


def _published(numbers: Iterable[Number | None]) -> str:
    """As printed: `57.37±0.32 / 38.27±0.27`; empty where nothing is published."""
    return " / ".join(f"{n.mean}±{n.std}" if n.std else n.mean for n in numbers if n is not None)


def _cells(grid: Grid, panel: str, row: str, dataset: str, column: Column) -> list[Cell]:
    metrics = grid.target.datasets[dataset].metrics
    return [grid.cells[Place(panel, row, dataset, column, metric)] for metric in metrics]


def _dataset_label(grid: Grid, dataset: str) -> str:
    declared = grid.target.datasets[dataset]
    return f"{declared.label} ({' / '.join(declared.metrics.values())})"


def _column_label(grid: Grid, panel: str, dataset: str, column: Column) -> str:
    match column:
        case Column.source:
            return grid.target.datasets[dataset].source.title()
        case Column.average:
            return "Average"
        case Column.lowest:
            return f"Lowest{_lowest_names(grid, panel, dataset)}"


def _lowest_names(grid: Grid, panel: str, dataset: str) -> str:
    """The lowest language, and the published one where that is another: ` (Ar)`, ` (Hi, published: Ar)`."""
    ours = grid.lowest[panel, dataset]
    cells = _cells(grid, panel, grid.target.table.lowest, dataset, Column.lowest)
    printed = {cell.published.language for cell in cells if cell.published} - {ours}
    names = [*([ours.title()] if ours else []), *(f"published: {name.title()}" for name in sorted(printed))]
    return f" ({', '.join(names)})" if names else ""


def _caption(grid: Grid) -> str:
    table = grid.target.table
    replicates = len(table.replicates)
    published = " Below each number the published one." if table.published else ""
    return (
        f"Mean ± sample std over {replicates} runs ({', '.join(table.replicates)}); an average is over the "
        f"target languages. Lowest: the lowest target language of row {table.rows[table.lowest].label}. "
        f"n/{replicates}: only n runs have the value, so there is no mean yet.{published}"
    )


def _part(grid: Grid, panel: str, dataset: str, notes: Footnotes) -> RichTable:
    table = grid.target.table
    mark = notes.mark(grid.headings[dataset])
    part = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    part.add_column(_dataset_label(grid, dataset) + (f" [{mark}]" if mark else ""), width=22)
    for column in table.columns:
        part.add_column(Text(_column_label(grid, panel, dataset, column)), width=28)
    for row, group in table.rows.items():
        cells = [_cells(grid, panel, row, dataset, column) for column in table.columns]
        part.add_row(group.label, *(_rich_cell(stack, notes) for stack in cells))
        if any(cell.published for stack in cells for cell in stack):
            part.add_row("  published", *(_rich_published(stack, notes) for stack in cells), style="dim")
    return part


_RICH_STYLES = {Rank.best: "bold", Rank.second: "underline", None: ""}


def _rich_cell(cells: Sequence[Cell], notes: Footnotes) -> Text:
    shown = [Text(text, style=_RICH_STYLES[rank]) for text, rank in _shown_cells(cells)]
    mark = notes.mark(note for cell in cells for note in cell.notes)
    return Text(" / ").join(shown) + Text(f" [{mark}]" if mark else "")


def _rich_published(cells: Sequence[Cell], notes: Footnotes) -> Text:
    mark = notes.mark(note for cell in cells for note in cell.errata)
    return Text(_published(cell.published for cell in cells) + (f" [{mark}]" if mark else ""))


def _tabular(grid: Grid, block: Sequence[str], notes: Footnotes) -> str:
    columns = len(grid.target.table.columns)
    heads, rules = [""], []
    for position, dataset in enumerate(block):
        first = 2 + position * columns
        label = _latex(_dataset_label(grid, dataset)) + _superscript(notes.mark(grid.headings[dataset]))
        heads.append(rf"\multicolumn{{{columns}}}{{c}}{{{label}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + columns - 1}}}")
    lines = [
        r"\begin{adjustbox}{max width=\textwidth}",
        rf"\begin{{tabular}}{{l{('c' * columns) * len(block)}}}",
        r"\toprule",
        _latex_row(heads),
        "".join(rules),
    ]
    for panel in grid.target.table.panels:
        lines += [*_latex_panel(grid, panel, block, notes), r"\midrule"]
    return "\n".join([*lines[:-1], r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}"])


def _latex_panel(grid: Grid, panel: str, block: Sequence[str], notes: Footnotes) -> list[str]:
    table = grid.target.table
    pairs = [(dataset, column) for dataset in block for column in table.columns]
    labels = [_latex(_column_label(grid, panel, dataset, column)) for dataset, column in pairs]
    lines = [_latex_row(["Method", *labels]), r"\midrule"]
    for row, group in table.rows.items():
        cells = [_cells(grid, panel, row, dataset, column) for dataset, column in pairs]
        label = _latex(f"{table.panels[panel].label} {group.label}")
        lines.append(_latex_row([label, *(_latex_cell(stack, notes) for stack in cells)]))
        if any(cell.published for stack in cells for cell in stack):
            published = [_latex_published(stack, notes) for stack in cells]
            lines.append(_latex_row([r"\quad\published{published}", *published]))
    return lines


_LATEX_STYLES = {Rank.best: r"\textbf{%s}", Rank.second: r"\underline{%s}", None: "%s"}


def _latex_cell(cells: Sequence[Cell], notes: Footnotes) -> str:
    shown = [_LATEX_STYLES[rank] % _latex(text) for text, rank in _shown_cells(cells)]
    return " / ".join(shown) + _superscript(notes.mark(note for cell in cells for note in cell.notes))


def _latex_published(cells: Sequence[Cell], notes: Footnotes) -> str:
    text = _published(cell.published for cell in cells)
    mark = notes.mark(note for cell in cells for note in cell.errata)
    return (rf"\published{{{_latex(text)}}}" if text else "") + _superscript(mark)


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _superscript(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""


_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def _latex(text: str) -> str:
    return text.translate(_LATEX_ESCAPES)
