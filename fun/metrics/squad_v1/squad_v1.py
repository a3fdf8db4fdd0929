"""Exact match and F1 of SQuAD v1.1 (Rajpurkar et al., 2016), as `evaluate.load("squad")` computes them.

`evaluate.load("<this folder>")` copies this file alone and reads its imports line by line: one import a line.
"""

import re
import string
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
PUNCTUATION = frozenset(string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")


def tokens(text: str) -> list[str]:
    """Words of `text` in lower case, without ASCII punctuation and English articles."""
    text = "".join(character for character in text.lower() if character not in PUNCTUATION)
    return ARTICLES.sub(" ", text).split()


def exact_match(prediction: list[str], gold: list[str]) -> float:
    """1 if both have the same tokens, else 0."""
    return float(prediction == gold)


def f1(prediction: list[str], gold: list[str]) -> float:
    """Harmonic mean of precision and recall over the shared tokens, in [0, 1]; 0 where they share none."""
    shared = (Counter(prediction) & Counter(gold)).total()
    return 2 * shared / (len(prediction) + len(gold)) if shared else 0.0


class SquadV1(evaluate.Metric):
    """Percentages {"exact_match", "f1"}: the best over a question's gold answers, averaged over questions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Exact match and F1 of SQuAD v1.1, in percent.",
            citation="Rajpurkar et al. (2016), SQuAD: 100,000+ Questions for Machine Comprehension of Text.",
            inputs_description="The ids of predictions and references must be the same set.",
            features=datasets.Features({"predictions": PREDICTION, "references": REFERENCE}),
        )

    def _compute(self, predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, float]:
        if not references:
            raise ValueError("found no references; give at least one question")
        predicted = {prediction["id"]: tokens(prediction["prediction_text"]) for prediction in predictions}
        if predicted.keys() != {reference["id"] for reference in references}:
            raise ValueError("found other ids in predictions than in references; give one prediction per id")
        total_exact_match = total_f1 = 0.0
        for reference in references:
            prediction = predicted[reference["id"]]
            golds = [tokens(answer) for answer in reference["answers"]["text"]]
            total_exact_match += max(exact_match(prediction, gold) for gold in golds)
            total_f1 += max(f1(prediction, gold) for gold in golds)
        return {
            "exact_match": 100 * total_exact_match / len(references),
            "f1": 100 * total_f1 / len(references),
        }
