"""A view as LaTeX, in booktabs: blocks of data sets side by side, panels below each other."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

from reproduce.declare.tables import Rank
from reproduce.show.view import Heading, Line, Part, Slot, View, beside

HEAD = r"""% Needs \usepackage{adjustbox}, \usepackage{booktabs} and \usepackage{xcolor}.
\providecommand{\published}[1]{{\footnotesize\itshape\textcolor{gray}{#1}}}
\begin{table*}[t]
\centering\small"""

STYLES = {Rank.best: r"\textbf{%s}", Rank.second: r"\underline{%s}", None: "%s"}

BETWEEN_ROWS = r"\addlinespace[2pt]"
"""Keeps a row together with the published one below it."""

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "−": "$-$",
        "λ": r"$\lambda$",
        "ρ": r"$\rho$",
        "²": r"$^2$",
        "é": r"\'e",
        "≠": r"$\neq$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def to_latex(view: View) -> str:
    """A table that floats: tabulars below each other, a caption, and the footnotes by number."""
    blocks = groupby(sorted(view.parts, key=lambda part: part.block), key=lambda part: part.block)
    title = re.sub(r"^Table (\d+|[IVX]+): ", "", view.title)  # LaTeX numbers it
    caption = " ".join((f"{title[:1].upper()}{title[1:]}.", *view.caption))
    lines = [
        HEAD,
        "\n\n\\medskip\n".join(_tabular(list(parts)) for _, parts in blocks),
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{view.name}}}",
        r"\raggedright\footnotesize",
        *(rf"\par\textsuperscript{{{number}}}\,{escape(text)}." for number, text in enumerate(view.notes, 1)),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def document(names: Iterable[str]) -> str:
    """A document for pdflatex of the tables that lie beside it as `<name>.tex`."""
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    return rf"""\documentclass{{article}}
\usepackage[a4paper,margin=15mm]{{geometry}}
\usepackage{{adjustbox}}
\usepackage{{booktabs}}
\usepackage{{graphicx}}
\usepackage{{xcolor}}
\begin{{document}}
{inputs}
\end{{document}}
"""


def escape(text: str) -> str:
    """Text as LaTeX prints it literally."""
    return text.translate(ESCAPES)


def _tabular(parts: Sequence[Part]) -> str:
    panels = [list(group) for _, group in groupby(parts, key=lambda part: part.panel)]
    columns = sum(len(part.headings) for part in panels[0])
    lines = [r"\begin{adjustbox}{max width=\textwidth}", rf"\begin{{tabular}}{{l{'c' * columns}}}", r"\toprule"]
    lines += _datasets(panels[0]) if panels[0][0].label else []
    above: list[Heading] = []
    for number, panel in enumerate(panels):
        rows, label = beside(panel), panel[0].panel
        headings = [heading for part in panel for heading in part.headings]
        borne = any(row.label == label for row in rows)
        name = rf"\textit{{{escape(label)}}}" if label and not borne else ""
        lines += [r"\midrule"] if number else []
        if headings != above:  # the lowest language is another in each panel
            lines += [_row([name, *(escape(heading.label) for heading in headings)]), r"\midrule"]
        elif name:
            lines.append(_row([rf"\multicolumn{{{1 + columns}}}{{l}}{{{name}}}"]))
        above = headings
        lines += _rows(rows)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}"])


def _datasets(parts: Sequence[Part]) -> list[str]:
    """The data sets above their columns."""
    columns = [len(part.headings) for part in parts]
    labels = [escape(part.label) + _superscript(part.errata) for part in parts]
    heads = [rf"\multicolumn{{{n}}}{{c}}{{{label}}}" for n, label in zip(columns, labels, strict=True)]
    rules = [rf"\cmidrule(lr){{{before + 1}-{last}}}" for before, last in pairwise(accumulate(columns, initial=1))]
    return [_row(["", *heads]), "".join(rules)]


def _rows(lines: Sequence[Line]) -> Iterator[str]:
    """Each line with the published one below it."""
    printed = any(slot.published for line in lines for slot in line.slots)
    for number, line in enumerate(lines):
        if number and printed:
            yield BETWEEN_ROWS
        if not line.quoted:
            yield _row([escape(line.label), *map(_ours, line.slots)])
        if line.label_of_published:
            indent = "" if line.quoted else r"\quad"
            label = rf"{indent}\published{{{escape(line.label_of_published)}}}"
            yield _row([label, *map(_published, line.slots)])


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _ours(slot: Slot) -> str:
    texts = " / ".join(STYLES[rank] % escape(text) for text, rank in slot.texts)
    return texts + escape(" ≠" if slot.differs else "") + _superscript(slot.footnotes[0])


def _published(slot: Slot) -> str:
    text = rf"\published{{{escape(slot.published)}}}" if slot.published else ""
    return text + _superscript(slot.footnotes[1])


def _superscript(footnotes: Sequence[int]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, footnotes))}}}" if footnotes else ""
