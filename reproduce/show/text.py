"""A view as text: for a terminal, as Markdown as GitHub sets it, and as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.errors import ConfigError
from reproduce.declare.tables import Rank
from reproduce.show.view import Part, Slot, View

WIDTH = 120
"""Columns of a terminal that the text fits into."""

GAP = 3
"""Columns between two of a table's."""

STYLES = {Rank.best: "bold", Rank.second: "underline", None: ""}
MARKDOWN = {Rank.best: "**%s**", Rank.second: "_%s_", None: "%s"}
PUBLISHED = "  published"


def to_text(view: View) -> Group:
    """Under each panel's name one part per data set, more where one is wider than the terminal."""
    widths = _widths(view)
    pieces: list[Text | RichTable] = [Text(view.title, style="bold"), Text(" ".join(view.caption)), Text()]
    for panel, parts in groupby(view.joined, key=lambda part: part.label and part.panel):
        pieces += [Text(panel, style="bold reverse")] if panel else []
        pieces += [_table(fitting, widths) for part in parts for fitting in _fitting(part, widths)]
    pieces += [Text(f"[{number}] {text}") for number, text in enumerate(view.notes, 1)]
    return Group(*pieces)


def to_markdown(view: View) -> str:
    """Title and caption, a table for each data set (or panel, see `View.joined`), and the footnotes."""
    pieces = [f"**{view.title}.** {' '.join(view.caption)}"]
    for panel, parts in groupby(view.joined, key=lambda part: part.label and part.panel):
        pieces += [f"*{panel}*"] if panel else []
        pieces += ["\n".join(_markdown(part)) for part in parts]
    pieces += [f"[{number}] {text}" for number, text in enumerate(view.notes, 1)]
    return "\n\n".join(pieces)


def placed(document: str, name: str, text: str) -> str:
    """A document with `text` between the lines `<!-- name -->` and `<!-- /name -->`, in place of what stood there.
    Raises ConfigError where it lacks them."""
    first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begun, rest = document.partition(first)
    _, ended, after = rest.partition(last)
    if not (begun and ended):
        raise ConfigError(f"found no lines {first.strip()} and {last.strip()}: write them where {name} is to stand")
    return f"{before}{first}\n{text}\n\n{last}{after}"


def to_csv(view: View) -> str:
    """One row per number, exact; the same results give the same bytes."""
    rows = [item.exact for item in view.items]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _rows(part: Part) -> Iterator[tuple[str, list[Text]]]:
    """What a terminal shows of a part, the heading first: the style of each row, and its texts."""
    yield "", [Text(head) for head in _heads(part)]
    for line in part.lines:
        if not line.quoted:
            yield "", [Text(line.label), *map(_ours, line.slots)]
        if label := line.label_of_published:
            yield "dim", [Text(label if line.quoted else PUBLISHED), *(Text(_published(slot)) for slot in line.slots)]


def _widths(view: View) -> dict[str, int]:
    """The width of each column by its heading's key, in all parts alike; of the labels by an empty key."""
    widths = {"": len(PUBLISHED)}
    for part in view.joined:
        keys = ["", *(heading.key for heading in part.headings)]
        for _, texts in _rows(part):
            for key, text in zip(keys, texts, strict=True):
                widths[key] = max(widths.get(key, 0), len(text))
    return widths


def _fitting(part: Part, widths: Mapping[str, int]) -> Iterator[Part]:
    """A part's columns in groups that fit into the terminal, as few as possible, each as a part."""
    starts, used = [0], widths[""] + GAP
    for position, heading in enumerate(part.headings):
        width = widths[heading.key] + GAP
        if position > starts[-1] and used + width > WIDTH:
            starts.append(position)
            used = widths[""] + GAP
        used += width
    for columns in map(slice, starts, [*starts[1:], None]):
        lines = tuple(replace(line, slots=line.slots[columns]) for line in part.lines)
        yield replace(part, headings=part.headings[columns], lines=lines)


def _table(part: Part, widths: Mapping[str, int]) -> RichTable:
    (_, heads), *rows = _rows(part)
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    keys = ["", *(heading.key for heading in part.headings)]
    for key, head in zip(keys, heads, strict=True):
        table.add_column(head, width=widths[key])
    for style, texts in rows:
        table.add_row(*texts, style=style)
    return table


def _markdown(part: Part) -> Iterator[str]:
    """The lines of a part's table."""
    rows = [_heads(part), ["---", *("---:" for _ in part.headings)]]
    for line in part.lines:
        if not line.quoted:
            rows.append([line.label, *map(_in_markdown, line.slots)])
        if line.label_of_published:
            rows.append([line.label_of_published, *map(_published, line.slots)])
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


def _heads(part: Part) -> list[str]:
    return [(part.label or part.panel) + _numbers(part.errata), *(heading.label for heading in part.headings)]


def _ours(slot: Slot) -> Text:
    return Text(" / ").join(Text(text, style=STYLES[rank]) for text, rank in slot.texts) + Text(_marks(slot))


def _in_markdown(slot: Slot) -> str:
    return " / ".join(MARKDOWN[rank] % text for text, rank in slot.texts) + _marks(slot)


def _marks(slot: Slot) -> str:
    return (" ≠" if slot.differs else "") + _numbers(slot.footnotes[0])


def _published(slot: Slot) -> str:
    return slot.published + _numbers(slot.footnotes[1])


def _numbers(footnotes: Sequence[int]) -> str:
    return f" [{','.join(map(str, footnotes))}]" if footnotes else ""
