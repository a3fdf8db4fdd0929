"""Exact match and F1 of extracted answers. What counts as a token is the configuration:

v1           SQuAD v1.1 (Rajpurkar et al., 2016), as `evaluate.load("squad")` computes them
zh           SQuAD v1.1 for Chinese, by character, as the authors of FUN score XQuAD and MLQA: English articles stay
mlqa-<code>  MLQA (Lewis et al., 2020) by the language of the answer: ar, de, en, es, hi, vi or zh

`evaluate.load("<this folder>", "<configuration>")` copies this file alone and reads its imports line by line.
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
REFERENCE = {"id": TEXT, "answers": datasets.Sequence({"text": TEXT, "answer_start": datasets.Value("int32")})}
ASCII_PUNCTUATION = frozenset(string.punctuation)
ARTICLES = {
    "v1": r"\b(a|an|the)\b",
    "zh": None,
    "mlqa-ar": "ال",  # wherever it stands: the authors' other alternative, at the start of a word, cannot match
    "mlqa-de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "mlqa-en": r"\b(a|an|the)\b",
    "mlqa-es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "mlqa-hi": None,
    "mlqa-vi": r"\b(của|là|cái|chiếc|những)\b",
    "mlqa-zh": None,
}
"""Configuration -> what is taken for an article; None where nothing is."""
CHINESE = re.compile("([\u4e00-\u9fa5])")


def tokens(text: str, configuration: str) -> list[str]:
    """Words of `text` in lower case, without punctuation and articles; a Chinese character may be one of its own."""
    kept = [character for character in text.lower() if character not in ASCII_PUNCTUATION]
    marks = {character for character in kept if unicodedata.category(character).startswith("P")}  # Unicode's others
    if configuration == "zh":  # these count, each as a token
        kept = [f" {character} " if character in marks else character for character in kept]
    elif configuration != "v1":
        kept = [character for character in kept if character not in marks]
    text = "".join(kept)
    if articles := ARTICLES[configuration]:
        text = re.sub(articles, " ", text)
    if configuration.endswith("zh"):
        text = CHINESE.sub(r" \1 ", text)
    return text.split()


def f1(prediction: list[str], gold: list[str]) -> float:
    """Harmonic mean of precision and recall over the shared tokens, in [0, 1]; 0 where they share none."""
    shared = (Counter(prediction) & Counter(gold)).total()
    return 2 * shared / (len(prediction) + len(gold)) if shared else 0.0


class Squad(evaluate.Metric):
    """Percentages {"exact_match", "f1"}: the best over a question's gold answers, averaged over questions."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in ARTICLES:
            raise ValueError(f"found the configuration {self.config_name!r}, expected one of {', '.join(ARTICLES)}")
        features = datasets.Features({"predictions": PREDICTION, "references": REFERENCE})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, float]:
        predicted = {answer["id"]: tokens(answer["prediction_text"], self.config_name) for answer in predictions}
        if predicted.keys() != {reference["id"] for reference in references}:
            raise ValueError("found other ids in predictions than in references; give one prediction per id")
        exact = overlap = 0.0
        for reference in references:
            prediction = predicted[reference["id"]]
            golds = [tokens(answer, self.config_name) for answer in reference["answers"]["text"]]
            exact += prediction in golds
            overlap += max(f1(prediction, gold) for gold in golds)
        return {"exact_match": 100 * exact / len(references), "f1": 100 * overlap / len(references)}
