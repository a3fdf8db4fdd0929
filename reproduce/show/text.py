"""A view as text for a terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from reproduce.declare.tables import Rank
from reproduce.show.view import Line, Part, Slot, View

WIDTH = 120
"""Columns of a terminal that the text fits into."""

GAP = 3
"""Columns between two of a table's."""

STYLES = {Rank.best: "bold", Rank.second: "underline", None: ""}

PUBLISHED = "  published"


def to_text(view: View) -> Group:
    """Under each panel's name one part per data set, more where one is wider than the terminal."""
    widths = _widths(view)
    pieces: list[Text | RichTable] = [Text(view.title, style="bold"), Text(" ".join(view.caption)), Text()]
    panel = ""
    for part in view.joined:
        if part.label and part.panel != panel:
            panel = part.panel
            pieces.append(Text(panel, style="bold reverse"))
        pieces += [_table(part, columns, widths) for columns in _fitting(part, widths)]
    pieces += [Text(f"[{number}] {text}") for number, text in enumerate(view.notes, 1)]
    return Group(*pieces)


def _widths(view: View) -> dict[str, int]:
    """The width of each column, by its heading's key, in all parts alike; of the labels by an empty key."""
    widths = {"": len(PUBLISHED)}

    def widen(key: str, text: str) -> None:
        widths[key] = max(widths.get(key, 0), len(text))

    for part in view.joined:
        widen("", _corner(part))
        for heading in part.headings:
            widen(heading.key, heading.label)
        for line in part.lines:
            widen("", _label(line))
            for heading, slot in zip(part.headings, line.slots, strict=True):
                widen(heading.key, _ours(slot).plain)
                widen(heading.key, _published(slot))
    return widths


def _fitting(part: Part, widths: dict[str, int]) -> Iterator[list[int]]:
    """The columns' positions in groups that fit side by side into the terminal, as few as possible."""
    columns: list[int] = []
    used = widths[""] + GAP
    for position, heading in enumerate(part.headings):
        width = widths[heading.key] + GAP
        if columns and used + width > WIDTH:
            yield columns
            columns, used = [], widths[""] + GAP
        columns.append(position)
        used += width
    yield columns


def _table(part: Part, columns: Sequence[int], widths: dict[str, int]) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(_corner(part)), width=widths[""])
    for position in columns:
        heading = part.headings[position]
        table.add_column(Text(heading.label), width=widths[heading.key])
    for line in part.lines:
        slots = [line.slots[position] for position in columns]
        published = [Text(_published(slot)) for slot in slots]
        if not line.quoted:
            table.add_row(Text(line.label), *map(_ours, slots))
        if line.quoted or any(slot.published for slot in slots):
            table.add_row(Text(_label(line) if line.quoted else PUBLISHED), *published, style="dim")
    return table


def _label(line: Line) -> str:
    return f"{line.label} (quoted)" if line.quoted else line.label


def _corner(part: Part) -> str:
    return (part.label or part.panel) + _numbers(part.errata)


def _ours(slot: Slot) -> Text:
    texts = Text(" / ").join(Text(text, style=STYLES[rank]) for text, rank in slot.texts)
    return texts + Text((" ≠" if slot.differs else "") + _numbers(slot.footnotes[0]))


def _published(slot: Slot) -> str:
    return slot.published + _numbers(slot.footnotes[1])


def _numbers(footnotes: Sequence[int]) -> str:
    return f" [{','.join(map(str, footnotes))}]" if footnotes else ""
