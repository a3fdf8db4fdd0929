"""Publishers' file formats, read into the columns that the same data have on the hub."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fun.data.files import text_of
from fun.errors import ConfigError

Row = dict[str, Any]

Places = Iterator[tuple[str, Callable[[], Row]]]
"""For each row its place in the file, and what reads it: so that a row that cannot be read is named."""


def read(path: Path, format: str, language: str, columns: Sequence[str], labels: Sequence[str]) -> list[Row]:
    """The rows of a file with these columns; column `label` holds numbers, whose names are `labels`.

    Raises ConfigError for whatever is not as the format says, with the file and the line, question or item.
    """
    place, rows = "", []
    try:
        for place, make in _READERS[format](path, language, labels):  # noqa: B007
            row = make()
            if missing := [column for column in columns if column not in row]:
                raise ValueError(f"found the columns {', '.join(row)}; expected {', '.join(columns)}; no {missing[0]}")
            json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate is no character: no tokenizer takes it
            rows.append({column: row[column] for column in columns})
    except (KeyError, ValueError, TypeError, AttributeError, ElementTree.ParseError, OSError) as error:
        where = f"{path}, {place}" if place else str(path)
        problem = _problem(error)
        raise ConfigError(f"{where}: not as {format} has it ({problem}): get the publisher's file again") from error
    return rows


def _problem(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"found half of a surrogate pair, {error.object[error.start : error.end]!a}"
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _squad_json(path: Path, language: str, labels: Sequence[str]) -> Places:
    """SQuAD v1.1, XQuAD and MLQA: articles of paragraphs of questions."""
    for article in json.loads(text_of(path))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield f"question {question.get('id')}", partial(_question, paragraph, question)


def _question(paragraph: Row, question: Row) -> Row:
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


def _copa_xml(path: Path, language: str, labels: Sequence[str]) -> Places:
    """COPA's own XML, whose alternatives are numbered from 1."""
    for item in ElementTree.parse(path).getroot().iter("item"):
        yield f"item {item.get('id')}", partial(_item, item)


def _item(item: ElementTree.Element) -> Row:
    return {
        "premise": _text(item, "p"),
        "choice1": _text(item, "a1"),
        "choice2": _text(item, "a2"),
        "question": item.attrib["asks-for"],
        "label": int(item.attrib["most-plausible-alternative"]) - 1,
    }


def _text(item: ElementTree.Element, tag: str) -> str:
    element = item.find(tag)
    if element is None or element.text is None:
        raise ValueError(f"no {tag}")
    return element.text


def _xcopa_jsonl(path: Path, language: str, labels: Sequence[str]) -> Places:
    """XCOPA: its lines have the columns already."""
    for place, line in _lines(path):
        yield place, partial(_object, line)


def _mnli_jsonl(path: Path, language: str, labels: Sequence[str]) -> Places:
    """MultiNLI 1.0."""
    for place, line in _lines(path):
        yield place, partial(_mnli_row, line, labels)


def _mnli_row(line: str, labels: Sequence[str]) -> Row:
    return _inference(_object(line), "sentence1", "sentence2", "gold_label", labels)


def _object(line: str) -> Row:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"found {line[:40]}, expected an object")
    return values


def _xnli_tsv(path: Path, language: str, labels: Sequence[str]) -> Places:
    """XNLI by language: label, sentence1_<language>, sentence2_<language>; quotation marks are text."""
    lines = list(_lines(path))
    end = "\r" if lines and lines[0][1].endswith("\r") else ""
    header = lines[0][1].removesuffix(end).split("\t") if lines else []
    for place, line in lines[1:]:
        yield place, partial(_fields, line, end, header, language, labels)


def _fields(line: str, end: str, header: list[str], language: str, labels: Sequence[str]) -> Row:
    fields = line.removesuffix(end).split("\t")
    if len(fields) != len(header) or line.endswith("\r") != bool(end):
        raise ValueError(f"found {len(fields)} fields{' and CR' * line.endswith(chr(13))}; expected {len(header)}")
    row = dict(zip(header, fields, strict=True))
    return _inference(row, f"sentence1_{language}", f"sentence2_{language}", "label", labels)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    # Not str.splitlines: a sentence may hold other line separators of Unicode.
    lines = text_of(path).split("\n")
    if not lines[-1]:
        lines.pop()
    return ((f"line {number}", line) for number, line in enumerate(lines, start=1))


def _inference(row: Row, premise: str, hypothesis: str, label: str, labels: Sequence[str]) -> Row:
    if row[label] not in labels:
        raise ValueError(f"found the label {row[label]!r}, expected one of {', '.join(labels)}")
    return {"premise": row[premise], "hypothesis": row[hypothesis], "label": labels.index(row[label])}


_READERS: dict[str, Callable[[Path, str, Sequence[str]], Places]] = {
    "squad_json": _squad_json,
    "copa_xml": _copa_xml,
    "xcopa_jsonl": _xcopa_jsonl,
    "mnli_jsonl": _mnli_jsonl,
    "xnli_tsv": _xnli_tsv,
}
