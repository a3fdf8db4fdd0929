"""Publishers' file formats, read into the columns that the same data have on the hub."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fun.data.facts import File
from fun.data.files import text_of
from fun.errors import ConfigError

Row = dict[str, Any]

Line = tuple[str, str]
"""A line after its place in the file."""

Word = tuple[str, str, str]
"""A word between its place and its tag."""

PREFERRED = {
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
"""Language -> which part of speech a multiword token has, of syntactic words that are equally high; "": any other."""

NO_CHARACTERS = str.maketrans("", "", "\u200c ")
"""Removed from words: the zero-width non-joiner of Persian, and spaces."""


def read(path: Path, file: File, language: str, columns: Sequence[str], labels: Sequence[str]) -> list[Row]:
    """The rows of a file with these columns; the last column holds numbers, whose names are `labels`. Raises
    ConfigError for whatever is not as the format says, with the file and the line, question or item."""
    items, content_of, called = FORMATS[file.format]
    theirs = [(called or {}).get(column, column).format(language=language) for column in columns]
    place, rows = "", []
    try:
        for place, item in items(path):  # noqa: B007
            content = content_of(item, language, columns)
            if content == []:  # a sentence without words
                continue
            row = content if isinstance(content, dict) else _tagged(content, columns, labels)
            if missing := [name for name in theirs if name not in row]:
                raise ValueError(f"found the columns {', '.join(row)}; expected {', '.join(theirs)}; no {missing[0]}")
            row = {column: row[name] for column, name in zip(columns, theirs, strict=True)}
            if called is not None:
                row[columns[-1]] = _number(row[columns[-1]], labels)
            json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate is no character: no tokenizer takes it
            if file.withheld or set(row[columns[0]]) != {"_"}:
                rows.append(row)
    except (KeyError, ValueError, TypeError, AttributeError, ElementTree.ParseError, OSError) as error:
        where = f"{path}, {place}" if place else str(path)
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        if isinstance(error, UnicodeEncodeError):
            problem = f"found half of a surrogate pair, {error.object[error.start : error.end]!a}"
        raise ConfigError(
            f"{where}: not as {file.format} has it ({problem}): get the publisher's file again"
        ) from error
    return rows


# What holds a row in a file, after its place there.


def _questions(path: Path) -> Iterator[tuple[str, tuple[Row, Row]]]:
    """Articles of paragraphs of questions."""
    for article in json.loads(text_of(path))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield f"question {question.get('id')}", (paragraph, question)


def _items(path: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    for item in ElementTree.parse(path).getroot().iter("item"):
        yield f"item {item.get('id')}", item


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    # Not str.splitlines: a sentence may hold other line separators of Unicode.
    lines = text_of(path).replace("\r\n", "\n").removesuffix("\n").split("\n")
    return ((f"line {number}", line) for number, line in enumerate(lines, start=1))


def _fields(path: Path) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
    """The names in the first line, and the values; quotation marks are text."""
    lines = ((place, line.split("\t")) for place, line in _lines(path))
    _, names = next(lines)
    return ((place, (names, values)) for place, values in lines)


def _sentences(path: Path) -> Iterator[tuple[str, list[Line]]]:
    """Lines between blank ones, or between documents."""
    for blank, lines in groupby(_lines(path), key=lambda line: not line[1].strip() or line[1].startswith("-DOCSTART-")):
        if not blank:
            sentence = list(lines)
            yield f"sentence at {sentence[0][0]}", sentence


# What is in it: a row, or the words of a sentence.


def _squad(item: tuple[Row, Row], *_: object) -> Row:
    paragraph, question = item
    answers = {name: [answer[name] for answer in question["answers"]] for name in ("text", "answer_start")}
    return question | {"context": paragraph["context"], "answers": answers}


def _copa(item: ElementTree.Element, *_: object) -> Row:
    row: Row = {"question": item.attrib["asks-for"]}
    for column, tag in {"premise": "p", "choice1": "a1", "choice2": "a2"}.items():
        row[column] = item.findtext(tag)
        if not row[column]:
            raise ValueError(f"no {tag}")
    return row | {"label": int(item.attrib["most-plausible-alternative"]) - 1}  # numbered from 1 there


def _object(line: str, *_: object) -> Row:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"found {line[:40]}, expected an object")
    return values


def _named(item: tuple[Sequence[str], list[str]], *_: object) -> Row:
    names, values = item
    if len(values) != len(names):
        raise ValueError(f"found {len(values)} fields; expected {len(names)}: {', '.join(names)}")
    return dict(zip(names, values, strict=True))


def _xglue_mnli(item: tuple[Sequence[str], list[str]], *_: object) -> Row:
    row = _named(item)
    return row | {"label": row["label"].replace("contradictory", "contradiction")}


def _unnamed(line: str, language: str, columns: Sequence[str]) -> Row:
    return _named((columns, line.split("\t")))


def _panx(sentence: list[Line], *_: object) -> list[Word]:
    words = _matched(sentence, r"[^:]*:(.*)\t(.*)", "language:token, tab, tag")
    return [(place, word.strip(), tag.strip()) for place, word, tag in words]


def _word_label(sentence: list[Line], *_: object) -> list[Word]:
    return _matched(sentence, "([^ ]+) ([^ ]*)", "a word, a blank, its label")


def _matched(sentence: list[Line], form: str, expected: str) -> list[Word]:
    """What the two groups of a regular expression match in each line: a word and its tag."""
    words = []
    for place, line in sentence:
        if (found := re.fullmatch(form, line)) is None:
            raise ValueError(f"{place}: found {line!r}, expected {expected}")
        words.append((place, found[1], found[2]))
    return words


def _conllu(sentence: list[Line], language: str, *_: object) -> list[Word]:
    """Words as XTREME (Hu et al., 2020) makes them; none where nearly all of a sentence are withheld, written `_`. What
    is written as one word is one: a multiword token such as French "du" is not split, and has the part of speech of its
    highest syntactic word."""
    numbered = _numbered(sentence)
    words, last = [], 0
    for number, (place, columns) in numbered.items():
        first, dash, end = number.partition("-")
        if "." in number or int(first) <= last:  # an empty node, or a part of a multiword token
            continue
        tag = columns[3]
        if dash:
            span = [str(part) for part in range(int(first), int(end) + 1)]
            try:
                tag = _highest(numbered, span, language)
            except (KeyError, RecursionError) as error:
                raise ValueError(f"{place}: the heads of its words do not lead to the root") from error
        words.append((place, columns[1].translate(NO_CHARACTERS), tag))
        last = int(end or first)
    withheld = sum(word == "_" for _, word, _ in words)
    return words if withheld == 0 or withheld < len(words) - 1 else []


def _conllu_nodes(sentence: list[Line], *_: object) -> list[Word]:
    """Words as XGLUE (Liang et al., 2020) makes them: each syntactic word and empty node, withheld ones too."""
    numbered = _numbered(sentence).items()
    return [(place, row[1].replace(" ", ""), row[3]) for number, (place, row) in numbered if "-" not in number]


def _numbered(sentence: list[Line]) -> dict[str, tuple[str, list[str]]]:
    """The place and the ten columns of what has a number."""
    numbered = {}
    for place, line in sentence:
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 10 or not re.fullmatch(r"\d+([-.]\d+)?", columns[0]):
            raise ValueError(f"{place}: found {len(columns)} fields; expected 10, of which the first is a number")
        numbered[columns[0]] = (place, columns)
    return numbered


def _highest(numbered: Mapping[str, tuple[str, list[str]]], span: Sequence[str], language: str) -> str:
    """The part of speech of the span's word with the fewest words above it."""
    above = {number: _depth(numbered, number) for number in span}
    tags = [numbered[number][1][3] for number in span if above[number] == min(above.values())]
    return next((tag for tag in PREFERRED.get(language, PREFERRED[""]).split() if tag in tags), tags[0])


def _depth(numbered: Mapping[str, tuple[str, list[str]]], number: str) -> int:
    head = numbered[number][1][6]
    return 0 if head == "0" else 1 + _depth(numbered, head)


def _tagged(words: Sequence[Word], columns: Sequence[str], labels: Sequence[str]) -> Row:
    numbers = [_number(tag, labels, f"{place}: ") for place, _, tag in words]
    return dict(zip(columns, ([word for _, word, _ in words], numbers), strict=True))


def _number(label: str, labels: Sequence[str], place: str = "") -> int:
    if label not in labels:
        raise ValueError(f"{place}found the label {label!r}, expected one of {', '.join(labels)}")
    return labels.index(label)


FORMATS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Mapping[str, str] | None]] = {
    "squad_json": (_questions, _squad, None),  # SQuAD 1.1, XQuAD, MLQA
    "copa_xml": (_items, _copa, None),
    "xcopa_jsonl": (_lines, _object, None),
    "mnli_jsonl": (_lines, _object, {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"}),
    "xnli_tsv": (_fields, _named, {"premise": "sentence1_{language}", "hypothesis": "sentence2_{language}"}),
    "pawsx_tsv": (_fields, _named, {}),
    "xglue_mnli": (_fields, _xglue_mnli, {"hypothesis": "hypo"}),
    "tsv": (_lines, _unnamed, {}),
    "panx": (_sentences, _panx, None),
    "conllu": (_sentences, _conllu, None),  # as XTREME reads it
    "conllu_nodes": (_sentences, _conllu_nodes, None),  # as XGLUE reads it
    "word_label": (_sentences, _word_label, None),
}
"""Format -> what holds a row, what is in it, and what it calls our columns where it has names for labels."""
