"""F1, precision and recall of tagged spans, and accuracy of tags. What counts as a span is the configuration:

iob2  an entity: B-X, then I-X … (an I-X that nothing of type X precedes begins one too), as seqeval counts by default
runs  a run of equal tags, as XTREME (Hu et al., 2020) and XGLUE (Liang et al., 2020) score parts of speech by an older
      seqeval (0.0.12), to which a tag that begins with S (SCONJ, SYM) is a span of its own

`evaluate.load("<this folder>", "<configuration>")` copies this file alone and reads its imports line by line.
"""

from collections.abc import Sequence

import datasets
import evaluate

Span = tuple[int, int, int, str]
"""Of which sentence, from which word to before which, and of which type."""


def spans(sentence: int, tags: Sequence[str], configuration: str) -> set[Span]:
    """The spans of the `tags` of a sentence, which is the `sentence`th."""
    found, start, kind = set(), 0, ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, named = tag.partition("-") if configuration == "iob2" else ("S" if tag[:1] == "S" else "I", "", tag)
        inside = "" if tag == "O" else named
        if inside != kind or prefix in ("B", "S"):
            if kind:
                found.add((sentence, start, position, kind))
            start, kind = position, inside
    return found


class TagF1(evaluate.Metric):
    """Percentages {"f1", "precision", "recall", "accuracy"}: the first three over the spans (Ramshaw and Marcus,
    1995) of all sentences together, 0 where none is right; and the share of right tags."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in ("iob2", "runs"):
            raise ValueError(f"found the configuration {self.config_name!r}, expected iob2 or runs")
        tags = datasets.Sequence(datasets.Value("string"))
        features = datasets.Features({"predictions": tags, "references": tags})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        predicted, gold, right = set[Span](), set[Span](), 0
        for sentence, (tags, expected) in enumerate(zip(predictions, references, strict=True)):
            right += sum(tag == other for tag, other in zip(tags, expected, strict=True))
            predicted |= spans(sentence, tags, self.config_name)
            gold |= spans(sentence, expected, self.config_name)
        same, both = len(predicted & gold), len(predicted) + len(gold)
        return {
            "f1": 200 * same / both if both else 0.0,
            "precision": 100 * same / len(predicted) if same else 0.0,
            "recall": 100 * same / len(gold) if same else 0.0,
            "accuracy": 100 * right / sum(map(len, references)),
        }
