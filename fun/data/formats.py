"""Publishers' file formats, read into the columns that the same data have on the hub."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fun.errors import ConfigError

LABELS = ("entailment", "neutral", "contradiction")
"""XNLI's classes, in the order of their numbers on the hub."""

Reader = Callable[[Path, str], Iterator[dict[str, Any]]]


def read(path: Path, format: str, language: str) -> list[dict[str, Any]]:
    """The rows of a file; raises ConfigError where it cannot be read as this format."""
    try:
        return list(_READERS[format](path, language))
    except (UnicodeDecodeError, json.JSONDecodeError, ElementTree.ParseError, csv.Error, OSError) as error:
        raise ConfigError(f"{path} cannot be read as {format} ({error}): get the publisher's file again") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        found = f"no {error}" if isinstance(error, KeyError) else error
        raise ConfigError(f"{path} is not in the format {format} ({found}): is it the publisher's file?") from error


def _squad_json(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """SQuAD v1.1, XQuAD and MLQA: articles of paragraphs of questions."""
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                yield {
                    "id": question["id"],
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": {
                        "text": [answer["text"] for answer in answers],
                        "answer_start": [answer["answer_start"] for answer in answers],
                    },
                }


def _copa_xml(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """COPA's own XML, whose alternatives are numbered from 1."""
    for item in ElementTree.parse(path).getroot().iter("item"):
        yield {
            "premise": _text(item, "p"),
            "choice1": _text(item, "a1"),
            "choice2": _text(item, "a2"),
            "question": item.attrib["asks-for"],
            "label": int(item.attrib["most-plausible-alternative"]) - 1,
        }


def _text(item: ElementTree.Element, tag: str) -> str:
    element = item.find(tag)
    if element is None or element.text is None:
        raise ValueError(f"item {item.get('id')} has no {tag}")
    return element.text


def _xcopa_jsonl(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """XCOPA: its lines have the columns already."""
    yield from map(dict, _lines(path))


def _mnli_jsonl(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """MultiNLI 1.0."""
    for row in _lines(path):
        yield _inference(row["sentence1"], row["sentence2"], row["gold_label"])


def _xnli_tsv(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """XNLI by language: label, sentence1_<language>, sentence2_<language>; quotation marks are text."""
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
            if None in row.values():
                raise ValueError(f"line {number} ends early")
            yield _inference(row[f"sentence1_{language}"], row[f"sentence2_{language}"], row["label"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    # Not str.splitlines: a sentence may hold other line separators of Unicode.
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def _inference(premise: str, hypothesis: str, label: str) -> dict[str, Any]:
    if label not in LABELS:
        raise ValueError(f"found the label {label!r}, expected one of {', '.join(LABELS)}")
    return {"premise": premise, "hypothesis": hypothesis, "label": LABELS.index(label)}


_READERS: dict[str, Reader] = {
    "squad_json": _squad_json,
    "copa_xml": _copa_xml,
    "xcopa_jsonl": _xcopa_jsonl,
    "mnli_jsonl": _mnli_jsonl,
    "xnli_tsv": _xnli_tsv,
}
