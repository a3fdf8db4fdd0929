"""Normalised discounted cumulative gain of ranked pages, as XGLUE (Liang et al., 2020) computes it.

The gain of a page is its grade itself, the discount of rank r is 1 / log2(r + 1), and no rank is left out. Pages of
equal score share the mean of their discounts. The pages of a query stand side by side; a query of one page does not
count, and one without any relevant page counts 0.

`evaluate.load("<this folder>")` copies this file alone and reads its imports line by line.
"""

from collections.abc import Sequence
from itertools import groupby
from math import log2
from statistics import fmean
from typing import Any

import datasets
import evaluate


def gain(scores: Sequence[float], grades: Sequence[float]) -> float:
    """DCG of the pages of a query in the order of their scores, ties shared."""
    ranked = sorted(range(len(scores)), key=lambda page: -scores[page])
    total, rank = 0.0, 0
    for _, tied in groupby(ranked, key=lambda page: scores[page]):
        pages = list(tied)
        discount = fmean(1 / log2(rank + place + 2) for place in range(len(pages)))
        total += discount * sum(grades[page] for page in pages)
        rank += len(pages)
    return total


class Ndcg(evaluate.Metric):
    """The percentage {"ndcg"} (Järvelin and Kekäläinen, 2002), averaged over queries of two pages or more."""

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("float64")
        page = {"query": datasets.Value("string"), "grade": number}
        features = datasets.Features({"predictions": number, "references": page})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[float], references: list[dict[str, Any]]) -> dict[str, float]:
        values = []
        for _, pages in groupby(zip(predictions, references, strict=True), key=lambda page: page[1]["query"]):
            scores, grades = zip(*((score, reference["grade"]) for score, reference in pages), strict=True)
            if len(grades) > 1:
                ideal = gain(grades, grades)
                values.append(gain(scores, grades) / ideal if ideal else 0.0)
        if not values:
            raise ValueError("found no query of two pages; give at least one")
        return {"ndcg": 100 * fmean(values)}
