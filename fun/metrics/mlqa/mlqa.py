"""Exact match and F1 of MLQA (Lewis et al., 2020) as its authors compute them: by the language of the answer.

Punctuation is Unicode's and ASCII's, articles are those of the language, and Chinese is split into characters.
The language is the configuration: `evaluate.load("<this folder>", "de")`.

`evaluate.load("<this folder>")` copies this file alone and reads its imports line by line: one import a line.
"""

import re
import string
import unicodedata
from collections import Counter
from typing import Any

import datasets
import evaluate

TEXT = datasets.Value("string")
PREDICTION = {"id": TEXT, "prediction_text": TEXT}
REFERENCE = {
    "id": TEXT,
    "answers": datasets.Sequence({"text": TEXT, "answer_start": datasets.Value("int32")}),
}
ASCII_PUNCTUATION = frozenset(string.punctuation)
ARTICLES = {
    "ar": "ال",  # wherever it stands: the authors' other alternative, at the start of a word, cannot match
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "zh": None,
}
"""Language -> what is taken for an article; None where there is nothing of the kind."""
CHINESE = re.compile("([\u4e00-\u9fa5])")


def is_punctuation(character: str) -> bool:
    """Whether Unicode or ASCII calls the character punctuation; ASCII counts symbols such as $ and + among it."""
    return character in ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")


def tokens(text: str, language: str) -> list[str]:
    """Words of `text` in lower case, without punctuation and articles; in Chinese each character is a word."""
    text = "".join(character for character in text.lower() if not is_punctuation(character))
    if articles := ARTICLES[language]:
        text = re.sub(articles, " ", text)
    if language == "zh":
        text = CHINESE.sub(r" \1 ", text)
    return text.split()


def exact_match(prediction: list[str], gold: list[str]) -> float:
    """1 if both have the same tokens, else 0."""
    return float(prediction == gold)


def f1(prediction: list[str], gold: list[str]) -> float:
    """Harmonic mean of precision and recall over the shared tokens, in [0, 1]; 0 where they share none."""
    shared = (Counter(prediction) & Counter(gold)).total()
    return 2 * shared / (len(prediction) + len(gold)) if shared else 0.0


class Mlqa(evaluate.Metric):
    """Percentages {"exact_match", "f1"}: the best over a question's gold answers, averaged over questions."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in ARTICLES:
            raise ValueError(f"found the language {self.config_name!r}, expected one of {', '.join(ARTICLES)}")
        return evaluate.MetricInfo(
            description="Exact match and F1 of MLQA for answers in one language, in percent.",
            citation="Lewis et al. (2020), MLQA: Evaluating Cross-lingual Extractive Question Answering.",
            inputs_description="The ids of predictions and references must be the same set.",
            features=datasets.Features({"predictions": PREDICTION, "references": REFERENCE}),
        )

    def _compute(self, predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, float]:
        if not references:
            raise ValueError("found no references; give at least one question")
        language = self.config_name
        predicted = {prediction["id"]: tokens(prediction["prediction_text"], language) for prediction in predictions}
        if predicted.keys() != {reference["id"] for reference in references}:
            raise ValueError("found other ids in predictions than in references; give one prediction per id")
        total_exact_match = total_f1 = 0.0
        for reference in references:
            prediction = predicted[reference["id"]]
            golds = [tokens(answer, language) for answer in reference["answers"]["text"]]
            total_exact_match += max(exact_match(prediction, gold) for gold in golds)
            total_f1 += max(f1(prediction, gold) for gold in golds)
        return {
            "exact_match": 100 * total_exact_match / len(references),
            "f1": 100 * total_f1 / len(references),
        }
