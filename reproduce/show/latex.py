"""Pieces of LaTeX that every table is made of."""

import re
from collections.abc import Iterable

PUBLISHED = r"\providecommand{\published}[1]{{\footnotesize\itshape\textcolor{gray}{#1}}}"
"""The macro that published values are set in."""

NEEDS = r"% Needs \usepackage{adjustbox}, \usepackage{booktabs} and \usepackage{xcolor}."

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "≠": r"$\neq$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def escape(text: str) -> str:
    """Text as LaTeX prints it literally."""
    return text.translate(_ESCAPES)


def row(cells: Iterable[str]) -> str:
    """A line of a tabular."""
    return " & ".join(cells) + r" \\"


BETWEEN_ROWS = r"\addlinespace[2pt]"
"""Keeps a row together with the published one below it."""


def superscript(mark: str) -> str:
    """A footnote's mark; nothing for none."""
    return rf"\textsuperscript{{{mark}}}" if mark else ""


def published(text: str) -> str:
    """A published value; nothing for none."""
    return rf"\published{{{escape(text)}}}" if text else ""


def floating(name: str, title: str, tabulars: Iterable[str], footnotes: Iterable[tuple[int, str]]) -> str:
    """A table that floats: tabulars below each other, a caption, and the footnotes by number."""
    numbered_by_latex = re.sub(r"^Table \d+: ", "", title)
    lines = [
        NEEDS,
        PUBLISHED,
        r"\begin{table*}[t]",
        r"\centering\small",
        "\n\n\\medskip\n".join(tabulars),
        f"\\caption{{{escape(numbered_by_latex[:1].upper() + numbered_by_latex[1:])}}}",
        f"\\label{{tab:{name}}}",
        r"\raggedright\footnotesize",
        *(rf"\par\textsuperscript{{{number}}}\,{escape(text)}." for number, text in footnotes),
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
