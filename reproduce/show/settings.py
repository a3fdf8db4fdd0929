"""A filled table of settings as CSV, as LaTeX and as text for a terminal."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from reproduce.numbers.settings import Cell, Sheet
from reproduce.show import latex
from reproduce.show.table import Footnotes

DIFFERS = " ≠"
"""What a value that differs from the printed one is marked with."""

CAPTION = "Ours are the values that runs get; below each row the printed ones, where the paper prints any."


def to_csv(sheet: Sheet) -> str:
    """One row per value; `differs` is yes where another one is printed."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["table", "panel", "row", "column", "value", "published", "differs", "note"])
    for panel, row, cells in sheet.rows:
        for column, cell in zip(sheet.columns, cells, strict=True):
            differs = "yes" if cell.differs else ""
            note = "; ".join(cell.errata)
            writer.writerow([sheet.target.name, panel, row, column, cell.value, cell.printed, differs, note])
    return file.getvalue()


def to_text(sheet: Sheet) -> Group:
    """For a terminal: one part per panel."""
    notes = Footnotes()
    parts: list[Text | RichTable] = [Text(sheet.target.settings.title, style="bold"), Text(CAPTION), Text()]
    for panel, rows in groupby(sheet.rows, key=lambda row: row[0]):
        part = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in (panel, *sheet.columns):
            part.add_column(name)
        for _, row, cells in rows:
            part.add_row(row, *(_value(cell) for cell in cells))
            if any(cell.printed for cell in cells):
                part.add_row("  published", *(_printed(cell, notes) for cell in cells), style="dim")
        parts.append(part)
    parts += [Text(f"[{number}] {text}") for number, text in notes.listed()]
    return Group(*parts)


def to_latex(sheet: Sheet) -> str:
    """The paper's layout in booktabs: a heading per panel, its rows below."""
    notes = Footnotes()
    lines = [
        r"\begin{adjustbox}{max width=\textwidth}",
        rf"\begin{{tabular}}{{l{'c' * len(sheet.columns)}}}",
        r"\toprule",
        latex.row(["", *map(latex.escape, sheet.columns)]),
    ]
    for panel, rows in groupby(sheet.rows, key=lambda row: row[0]):
        lines.append(r"\midrule")
        if panel:
            lines.append(
                latex.row([rf"\multicolumn{{{1 + len(sheet.columns)}}}{{l}}{{\textit{{{latex.escape(panel)}}}}}"])
            )
        for number, (_, row, cells) in enumerate(rows):
            lines += [*([latex.BETWEEN_ROWS] if number else []), *_latex_rows(row, cells, notes)]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}"]
    title = f"{sheet.target.settings.title}. {CAPTION}"
    return latex.floating(sheet.target.name, title, ["\n".join(lines)], notes.listed())


def _latex_rows(row: str, cells: Sequence[Cell], notes: Footnotes) -> list[str]:
    lines = [latex.row([latex.escape(row), *(latex.escape(_value(cell)) for cell in cells)])]
    if any(cell.printed for cell in cells):
        marked = [latex.published(cell.printed) + latex.superscript(notes.mark(cell.errata)) for cell in cells]
        lines.append(latex.row([r"\quad\published{published}", *marked]))
    return lines


def _value(cell: Cell) -> str:
    return cell.value + (DIFFERS if cell.differs else "")


def _printed(cell: Cell, notes: Footnotes) -> str:
    mark = notes.mark(cell.errata)
    # Not Text: rich would read the brackets of a plain string as markup.
    return cell.printed + (rf" \[{mark}]" if mark else "")
