"""Ranking of the pages of a query by grades, as in XGLUE's web page ranking (Liang et al., 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import numpy as np

from fun import metrics
from fun.errors import ConfigError
from fun.tasks.base import TASKS, Features, Logits, Row, Scored
from fun.tasks.classification import ClassificationTask


@TASKS.register("ranking")
@dataclass(frozen=True, kw_only=True)
class RankingTask(ClassificationTask):
    """A softmax over the grades 0, 1, … of each page, alone with its query, which is the first text.

    The pages of a query stand side by side, in whatever parts and batches the model reads them.
    """

    metrics: ClassVar[tuple[str, ...]] = ("ndcg", "ndcg_expected", "accuracy")
    grouped: ClassVar[bool] = True

    def check_scored(self, rows: Sequence[Row], where: str) -> None:
        """Some query has two pages to be ranked."""
        if not any(len(list(pages)) > 1 for _, pages in groupby(map(self._query, rows))):
            raise ConfigError(
                f"{where}: found {len(rows)} rows, in which no query has two pages to rank; expected a query's pages "
                "on lines side by side: get the publisher's file again"
            )

    def score(self, rows: Sequence[Row], features: Features, logits: Logits, language: str, dataset: str) -> Scored:
        """nDCG of the pages by their most probable grade, as XGLUE ranks them, and by their expected grade, which has
        no ties; accuracy of the grades. `logits` holds one array [grades] per row."""
        scored = super().score(rows, features, logits, language, dataset)
        raw = np.stack([factor for (factor,) in logits]).astype(np.float64)
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        expected = (odds @ np.arange(odds.shape[1]) / odds.sum(axis=1)).tolist()
        pages = [{"query": self._query(row), "grade": row["label"]} for row in rows]
        ranked = {"ndcg": [row["prediction"] for row in scored.predictions], "ndcg_expected": expected}
        for name, scores in ranked.items():
            scored.metrics[name] = metrics.load("ndcg").compute(predictions=scores, references=pages)["ndcg"]
        for prediction, page, grade in zip(scored.predictions, pages, expected, strict=True):
            prediction |= {"query": page["query"], "expected": grade}
        return Scored({name: scored.metrics[name] for name in self.reported}, scored.predictions)

    def _query(self, row: Row) -> str:
        return self.sequences(row)[0][0]
