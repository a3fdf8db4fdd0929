"""Publishers' file formats, read into the columns that the same data have on the hub."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fun.data import treebanks
from fun.data.facts import File
from fun.data.files import text_of
from fun.errors import ConfigError

Row = dict[str, Any]


def read(path: Path, file: File, language: str, columns: Sequence[str], labels: Sequence[str]) -> list[Row]:
    """The rows of a file with these columns; the last column holds numbers, whose names are `labels`.

    Raises ConfigError for whatever is not as the format says, with the file and the line, question or item.
    """
    items, row_of = FORMATS[file.format]
    place, rows = "", []
    try:
        for place, item in items(path):  # noqa: B007
            if (row := row_of(item, file, language, labels)) is None:
                continue
            if missing := [column for column in columns if column not in row]:
                raise ValueError(f"found the columns {', '.join(row)}; expected {', '.join(columns)}; no {missing[0]}")
            json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate is no character: no tokenizer takes it
            if file.withheld or set(row[columns[0]]) != {"_"}:
                rows.append({column: row[column] for column in columns})
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


def _sentences(path: Path) -> Iterator[tuple[str, list[treebanks.Line]]]:
    """Lines between blank ones, or between documents."""
    for blank, lines in groupby(_lines(path), key=lambda line: not line[1].strip() or line[1].startswith("-DOCSTART-")):
        if not blank:
            sentence = list(lines)
            yield f"sentence at {sentence[0][0]}", sentence


# What becomes of it; nothing, where it is left out.


def _squad(item: tuple[Row, Row], file: File, language: str, labels: Sequence[str]) -> Row:
    paragraph, question = item
    answers = question["answers"]
    return {
        "id": question["id"],
        "context": paragraph["context"],
        "question": question["question"],
        "answers": {
            "text": [answer["text"] for answer in answers],
            "answer_start": [answer["answer_start"] for answer in answers],
        },
    }


def _copa(item: ElementTree.Element, file: File, language: str, labels: Sequence[str]) -> Row:
    row: Row = {"question": item.attrib["asks-for"]}
    for column, tag in {"premise": "p", "choice1": "a1", "choice2": "a2"}.items():
        row[column] = item.findtext(tag)
        if not row[column]:
            raise ValueError(f"no {tag}")
    return row | {"label": int(item.attrib["most-plausible-alternative"]) - 1}  # numbered from 1 there


def _object(line: str, file: File, language: str, labels: Sequence[str]) -> Row:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"found {line[:40]}, expected an object")
    return values


def _mnli(line: str, file: File, language: str, labels: Sequence[str]) -> Row:
    return _inference(_object(line, file, language, labels), "sentence1", "sentence2", "gold_label", labels)


def _xnli(item: tuple[list[str], list[str]], file: File, language: str, labels: Sequence[str]) -> Row:
    return _inference(_named(item), f"sentence1_{language}", f"sentence2_{language}", "label", labels)


def _pawsx(item: tuple[list[str], list[str]], file: File, language: str, labels: Sequence[str]) -> Row:
    row = _named(item)
    return row | {"label": _number(row["label"], labels)}


def _xglue_mnli(item: tuple[list[str], list[str]], file: File, language: str, labels: Sequence[str]) -> Row:
    row = _named(item)
    row["label"] = row["label"].replace("contradictory", "contradiction")
    return _inference(row, "premise", "hypo", "label", labels)


def _tsv(line: str, file: File, language: str, labels: Sequence[str]) -> Row:
    row = _named((list(file.names), line.split("\t")))
    return row | {"label": _number(row["label"], labels)}


def _named(item: tuple[list[str], list[str]]) -> Row:
    names, values = item
    if len(values) != len(names):
        raise ValueError(f"found {len(values)} fields; expected {len(names)}: {', '.join(names)}")
    return dict(zip(names, values, strict=True))


def _panx(sentence: list[treebanks.Line], file: File, language: str, labels: Sequence[str]) -> Row:
    tokens, numbers = [], []
    for place, line in sentence:
        token, _, tag = line.rpartition("\t")
        _, colon, token = token.partition(":")
        if not colon:
            raise ValueError(f"{place}: found {line!r}, expected language:token, tab, tag")
        tokens.append(token.strip())
        numbers.append(_number(tag.strip(), labels, place))
    return {"tokens": tokens, "ner_tags": numbers}


def _word_label(sentence: list[treebanks.Line], file: File, language: str, labels: Sequence[str]) -> Row:
    pairs = [(place, line.split(" ")) for place, line in sentence]
    for place, pair in pairs:
        if len(pair) != 2 or not pair[0]:
            raise ValueError(f"{place}: found {' '.join(pair)!r}, expected a word, a blank, its label")
    words, numbers = [word for _, (word, _) in pairs], [_number(label, labels, place) for place, (_, label) in pairs]
    return dict(zip(file.names, (words, numbers), strict=True))


def _conllu(sentence: list[treebanks.Line], file: File, language: str, labels: Sequence[str]) -> Row | None:
    return _parts_of_speech(treebanks.words(sentence, language), labels)


def _conllu_nodes(sentence: list[treebanks.Line], file: File, language: str, labels: Sequence[str]) -> Row | None:
    return _parts_of_speech(treebanks.nodes(sentence), labels)


def _parts_of_speech(words: Sequence[tuple[str, str, str]], labels: Sequence[str]) -> Row | None:
    numbers = [_number(tag, labels, place) for place, _, tag in words]
    return {"tokens": [word for _, word, _ in words], "pos_tags": numbers} if words else None


def _inference(row: Row, premise: str, hypothesis: str, label: str, labels: Sequence[str]) -> Row:
    return {"premise": row[premise], "hypothesis": row[hypothesis], "label": _number(row[label], labels)}


def _number(label: str, labels: Sequence[str], place: str = "") -> int:
    if label not in labels:
        raise ValueError(f"{place}{': ' * bool(place)}found the label {label!r}, expected one of {', '.join(labels)}")
    return labels.index(label)


Items = Callable[[Path], Iterator[tuple[str, Any]]]
RowOf = Callable[[Any, File, str, Sequence[str]], Row | None]

FORMATS: dict[str, tuple[Items, RowOf]] = {
    "squad_json": (_questions, _squad),  # SQuAD 1.1, XQuAD, MLQA
    "copa_xml": (_items, _copa),
    "xcopa_jsonl": (_lines, _object),  # has the columns already
    "mnli_jsonl": (_lines, _mnli),  # MultiNLI 1.0
    "xnli_tsv": (_fields, _xnli),
    "pawsx_tsv": (_fields, _pawsx),
    "panx": (_sentences, _panx),
    "conllu": (_sentences, _conllu),  # as XTREME reads it
    "conllu_nodes": (_sentences, _conllu_nodes),  # as XGLUE reads it
    "xglue_mnli": (_fields, _xglue_mnli),
    "tsv": (_lines, _tsv),  # without names
    "word_label": (_sentences, _word_label),
}
