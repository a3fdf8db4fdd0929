"""What LaTeX must fulfil to compile, as far as it can be seen without compiling it."""

import re
from collections import Counter


def check_latex(text: str) -> None:
    """Braces and environments are balanced, and every row of a tabular has as many cells as it has columns."""
    bare = re.sub(r"\\[&%$#_{}\\]", "", text.replace(r"\\", "\\newline "))
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert Counter(re.findall(r"\\begin{(\w+\*?)}", text)) == Counter(re.findall(r"\\end{(\w+\*?)}", text))
    assert text.isascii()  # plain pdflatex prints no other characters without more packages
    for tabular in re.findall(r"\\begin{tabular}.*?\\end{tabular}", text, re.DOTALL):
        columns = len(re.search(r"{tabular}{(\w+)}", tabular)[1])  # type: ignore[index]
        rows = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert rows
        for row in rows:
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn{(\d+)}", row))
            assert row.replace(r"\&", "").count("&") + 1 + spanned == columns
