"""What was found, as lines for a terminal or a file. Any script is shown as it is, and stays in its place."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from fun.inspect.report import Report
from fun.inspect.views import Example, Fact, Lengths, Token

LABEL, NAME = 12, 24
"""Widths of the names at the left: of facts, and of lengths."""

ISOLATE, END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
"""Around text from right to left, so that what stands beside it is not reordered."""

RIGHT_TO_LEFT = ("R", "AL", "AN")
CIRCLE = "\N{DOTTED CIRCLE}"
"""Carries a combining mark that has lost its letter to another token."""

SHOWN = {"\n": "↵", "\t": "⇥"}
JOINED = "·"
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Letters of Hindi look wrong without them; all other characters without a shape are shown by number."""

KEY = "piece/id; · within a word; ⟦…⟧ the answer, or what is masked, with what it ←stands for"


def render(report: Report, width: int) -> Iterator[Text]:
    """Lines of at most `width` cells."""
    for name, said in report.read.items():
        yield from _fact(Fact(name, comment=said), width)
    yield Text()
    yield from _table(report.lengths)
    yield Text()
    for loss in report.losses:
        yield from _wrapped(Text(loss), width)
    yield Text()
    yield Text(KEY, style="dim")
    for example in report.examples:
        yield from _example(example, width)


def _table(lengths: Iterable[Lengths]) -> Iterator[Text]:
    columns = ("min", "median", "95 %", "max")
    yield Text(" " * NAME + "".join(f"{name:>9}" for name in columns) + "    longest", style="bold")
    for row in lengths:
        numbers = (f"{row.minimum:,}", f"{row.median:,.1f}", f"{row.most:,.1f}", f"{row.maximum:,}")
        longest = "" if row.longest is None else f"    first={row.longest}"
        yield Text(f"{row.name:<{NAME}}" + "".join(f"{number:>9}" for number in numbers) + longest)


def _example(example: Example, width: int) -> Iterator[Text]:
    yield Text()
    yield Text(f"── {example.title} ".ljust(width, "─"), style="bold")
    for fact in example.facts:
        yield from _fact(fact, width)
    for heading, tokens in example.sequences:
        yield Text()
        yield from _wrapped(Text(heading, style="italic"), width)
        yield from _flow(tokens, width)


def _fact(fact: Fact, width: int) -> Iterator[Text]:
    lines = list(_wrapped(Text(visible(fact.text)), width - LABEL)) if fact.text else []
    comment = Text(f"({fact.comment})", style="dim") if fact.text and fact.comment else Text(fact.comment)
    if lines and comment and lines[-1].cell_len + 2 + comment.cell_len <= width - LABEL:
        lines[-1] = lines[-1] + "  " + comment
    elif comment:
        lines += _wrapped(comment, width - LABEL)
    for number, line in enumerate(lines):
        yield Text(f"{'' if number else fact.name:<{LABEL}}", style="bold") + line


def _wrapped(text: Text, width: int) -> Iterator[Text]:
    for line in text.wrap(Console(width=width), width):
        line.rstrip()
        # Each line by itself: terminals order the text of one line.
        yield Text(ISOLATE) + line + Text(END) if _right_to_left(line.plain) else line


def _flow(tokens: Sequence[Token], width: int) -> Iterator[Text]:
    """Tokens as running text, broken before any of them."""
    line = Text()
    for joined, part in _parts(tokens):
        joiner = JOINED if joined else " " if line else ""
        if line and line.cell_len + len(joiner) + part.cell_len > width:
            yield line
            line, joiner = Text(), JOINED if joined else ""
        line = line + Text(joiner, style="dim" if joined else "") + part
    yield line


def _parts(tokens: Sequence[Token]) -> Iterator[tuple[bool, Text]]:
    """Each token, and whether it goes on with a word; padding only once, with its number."""
    marked = [False, *(token.marked for token in tokens), False]
    position = 0
    for token, run in groupby(tokens):
        count = len(list(run))
        times = count if token.special and not token.marked else 1
        for _ in range(count // times):
            opens, closes = not marked[position], not marked[position + times + 1]
            yield not token.begins, _token(token, times, opens=opens, closes=closes)
            position += times


def _token(token: Token, times: int, *, opens: bool, closes: bool) -> Text:
    style = "bold green" if token.marked else "cyan" if token.special else ""
    text = Text(_piece(token.piece), style=style) + Text(f"/{token.id}", style="dim")
    if times > 1:
        text.append(f" ×{times}")
    if token.hides:
        text.append(f"←{_piece(token.hides)}", style="green")
    if token.marked:
        text = Text("⟦" if opens else "") + text + Text("⟧" if closes else "")
    return text


def _piece(piece: str) -> str:
    """A piece by itself: its first mark has a letter to stand on, and its script does not move its neighbours."""
    prefix = next((prefix for prefix in ("##", "▁") if piece.startswith(prefix)), "")
    rest = visible(piece.removeprefix(prefix))
    if rest and unicodedata.category(rest[0]).startswith("M"):
        rest = CIRCLE + rest
    return f"{ISOLATE}{prefix}{rest}{END}" if _right_to_left(rest) else prefix + rest


def visible(text: str) -> str:
    """Text with its line breaks and its characters without a shape made visible."""
    return "".join(SHOWN.get(character) or _shape(character) for character in text)


def _shape(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in JOINERS:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in text)
