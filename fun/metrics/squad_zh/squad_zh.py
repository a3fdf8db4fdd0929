"""Exact match and F1 of Chinese answers by character: the metric of the authors of FUN for XQuAD and MLQA zh.

The SQuAD v1.1 script with another notion of a token: English articles stay, and Chinese text is split as in
MLQA (Lewis et al., 2020).

`evaluate.load("<this folder>")` copies this file alone and reads its imports line by line: one import a line.
"""

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
PUNCTUATION = frozenset(string.punctuation)


def stands_alone(character: str) -> bool:
    """Whether the character is a token of its own: CJK U+4E00-9FA5, or punctuation in Unicode's sense."""
    return "\u4e00" <= character <= "\u9fa5" or unicodedata.category(character).startswith("P")


def tokens(text: str) -> list[str]:
    """Lower case without ASCII punctuation; Chinese and punctuation by character, all else by white space."""
    kept = (character for character in text.lower() if character not in PUNCTUATION)
    return "".join(f" {character} " if stands_alone(character) else character for character in kept).split()


def exact_match(prediction: list[str], gold: list[str]) -> float:
    """1 if both have the same tokens, else 0."""
    return float(prediction == gold)


def f1(prediction: list[str], gold: list[str]) -> float:
    """Harmonic mean of precision and recall over the shared tokens, in [0, 1]; 0 where they share none."""
    shared = (Counter(prediction) & Counter(gold)).total()
    return 2 * shared / (len(prediction) + len(gold)) if shared else 0.0


class SquadZh(evaluate.Metric):
    """Percentages {"exact_match", "f1"}: the best over a question's gold answers, averaged over questions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Exact match and F1 for Chinese answers, by character, in percent.",
            citation="Liu et al. (2024), FUN with Fisher; segmentation of Lewis et al. (2020), MLQA.",
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
