"""Sentences of Universal Dependencies' CoNLL-U, word by word as XTREME (Hu et al., 2020) or as XGLUE makes them.

In XTREME what is written as one word is one: a multiword token such as French "du" is not split, and has the part of
speech of its highest syntactic word. XGLUE (Liang et al., 2020) splits it.
"""

import re
from collections.abc import Mapping, Sequence

Line = tuple[str, str]
"""A line after its place in the file."""

Word = tuple[str, str, str]
"""A word between its place and its part of speech, or another tag."""

PREFERRED = {
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
"""Language -> which part of speech a multiword token has, of syntactic words that are equally high; "": any other."""

NO_CHARACTERS = str.maketrans("", "", "\u200c ")
"""Removed from words: the zero-width non-joiner of Persian, and spaces."""


def words(sentence: Sequence[Line], language: str, *_: object) -> list[Word]:
    """The words of a sentence; none where nearly all are withheld, written `_`. Raises ValueError with the place of a
    line that is not as CoNLL-U has it."""
    fields = _fields(sentence)
    tagged, last = [], 0
    for number, (place, columns) in fields.items():
        first, dash, end = number.partition("-")
        if "." in number or int(first) <= last:  # an empty node, or a part of a multiword token
            continue
        tag = columns[3]
        if dash:
            span = [str(part) for part in range(int(first), int(end) + 1)]
            try:
                tag = _highest(fields, span, language)
            except (KeyError, RecursionError) as error:
                raise ValueError(f"{place}: the heads of its words do not lead to the root") from error
        tagged.append((place, columns[1].translate(NO_CHARACTERS), tag))
        last = int(end or first)
    withheld = sum(word == "_" for _, word, _ in tagged)
    return tagged if withheld == 0 or withheld < len(tagged) - 1 else []


def nodes(sentence: Sequence[Line], *_: object) -> list[Word]:
    """Each syntactic word and empty node of a sentence, withheld ones too. Raises ValueError as `words` does."""
    fields = _fields(sentence).items()
    return [(place, row[1].replace(" ", ""), row[3]) for number, (place, row) in fields if "-" not in number]


def _fields(sentence: Sequence[Line]) -> dict[str, tuple[str, list[str]]]:
    """The place and the ten columns of what has a number."""
    fields = {}
    for place, line in sentence:
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 10 or not re.fullmatch(r"\d+([-.]\d+)?", columns[0]):
            raise ValueError(f"{place}: found {len(columns)} fields; expected 10, of which the first is a number")
        fields[columns[0]] = (place, columns)
    return fields


def _highest(fields: Mapping[str, tuple[str, list[str]]], span: Sequence[str], language: str) -> str:
    """The part of speech of the span's word with the fewest words above it."""
    above = {number: _depth(fields, number) for number in span}
    tags = [fields[number][1][3] for number in span if above[number] == min(above.values())]
    return next((tag for tag in PREFERRED.get(language, PREFERRED[""]).split() if tag in tags), tags[0])


def _depth(fields: Mapping[str, tuple[str, list[str]]], number: str) -> int:
    head = fields[number][1][6]
    return 0 if head == "0" else 1 + _depth(fields, head)
