"""What was found, as lines for a terminal or a file. Any script is shown as it is, and stays in its place."""

import unicodedata
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from fun.inspect.report import Report, Token
from fun.tasks.base import Fact

LABEL = 12  # the width of the labels at the left, if the names of columns need no more
ISOLATE, END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
"""Around text from right to left, so that what stands beside it is not reordered."""

RIGHT_TO_LEFT = ("R", "AL", "AN")
CIRCLE = "\N{DOTTED CIRCLE}"  # carries a combining mark that has lost its letter to another token
SHOWN = {"\n": "↵", "\t": "⇥"}
JOINED = "·"
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Letters of Hindi look wrong without them; all other characters without a shape are shown by number."""

KEY = "piece/id; · within a word; ⟦…⟧ what is asked for: an answer, or masked, with what it ←stands for"


def render(report: Report, width: int) -> Iterator[Text]:
    """Lines of at most `width` cells."""
    yield from _facts(report.facts, width)
    yield Text()
    yield Text(KEY, style="dim")
    for example in report.examples:
        yield Text()
        yield Text(f"── {example.title} ".ljust(width, "─"), style="bold")
        yield from _facts(example.facts, width)
        for heading, tokens in example.sequences:
            yield Text()
            yield Text(heading, style="italic")
            yield from _flow(tokens, width)


def _facts(facts: Sequence[Fact], width: int) -> Iterator[Text]:
    left = max([LABEL, *(len(label) + 1 for label, _ in facts)])
    for label, text in facts:
        for number, line in enumerate(_wrapped(Text(visible(text)), width - left)):
            yield Text(f"{'' if number else label:<{left}}", style="bold") + line


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
    """Each token, and whether it goes on with a word."""
    asked = [False, *(token.asked for token in tokens), False]
    for position, token in enumerate(tokens):
        style = "bold green" if token.asked else "cyan" if token.special else ""
        text = Text(_piece(token.piece), style=style) + Text(f"/{token.id}", style="dim")
        if token.hides:
            text.append(f"←{_piece(token.hides)}", style="green")
        if token.asked:
            text = Text("" if asked[position] else "⟦") + text + Text("" if asked[position + 2] else "⟧")
        yield not token.begins, text


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
