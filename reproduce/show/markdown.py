"""A view as Markdown, as GitHub sets it."""

from collections.abc import Iterable, Iterator, Sequence

from fun.errors import ConfigError
from reproduce.declare.tables import Rank
from reproduce.show.view import Part, Slot, View

STYLES = {Rank.best: "**%s**", Rank.second: "_%s_", None: "%s"}


def to_markdown(view: View) -> str:
    """Title and caption, a table for each data set (or panel, see `View.joined`), and the footnotes."""
    pieces = [f"**{view.title}.** {' '.join(view.caption)}"]
    panel = ""
    for part in view.joined:
        if part.label and part.panel != panel:
            panel = part.panel
            pieces.append(f"*{panel}*")
        pieces.append("\n".join(_lines(part)))
    pieces += [f"[{number}] {text}" for number, text in enumerate(view.notes, 1)]
    return "\n\n".join(pieces)


def placed(document: str, name: str, text: str) -> str:
    """A document with `text` between the lines `<!-- name -->` and `<!-- /name -->`, in place of what stood there.

    Raises ConfigError where it does not have the two.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begun, rest = document.partition(first)
    _, ended, after = rest.partition(last)
    if not (begun and ended):
        raise ConfigError(f"found no lines {first.strip()} and {last.strip()}: write them where {name} is to stand")
    return f"{before}{first}\n{text}\n\n{last}{after}"


def _lines(part: Part) -> Iterator[str]:
    yield _row([f"{part.label or part.panel}{_numbers(part.errata)}", *(heading.label for heading in part.headings)])
    yield _row(["---", *("---:" for _ in part.headings)])
    for line in part.lines:
        if not line.quoted:
            yield _row([line.label, *map(_ours, line.slots)])
        if line.quoted or any(slot.published for slot in line.slots):
            yield _row([f"{line.label} (quoted)" if line.quoted else "published", *map(_published, line.slots)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _ours(slot: Slot) -> str:
    texts = " / ".join(STYLES[rank] % text for text, rank in slot.texts)
    return texts + (" ≠" if slot.differs else "") + _numbers(slot.footnotes[0])


def _published(slot: Slot) -> str:
    return slot.published + _numbers(slot.footnotes[1])


def _numbers(footnotes: Sequence[int]) -> str:
    return f" [{','.join(map(str, footnotes))}]" if footnotes else ""
