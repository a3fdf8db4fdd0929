"""F1 of class 1 of two, as `evaluate.load("f1")` computes it by default, for `evaluate.load("<this folder>")`."""

import datasets
import evaluate


class F1(evaluate.Metric):
    """The harmonic mean {"f1"} in [0, 1] of precision and recall of the label 1; 0 where they share none."""

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("int32")
        features = datasets.Features({"predictions": label, "references": label})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        if not references:  # 0 would look like a measurement
            raise ValueError("found no references; give at least one")
        both = sum(prediction == gold == 1 for prediction, gold in zip(predictions, references, strict=True))
        return {"f1": 2 * both / (predictions.count(1) + references.count(1)) if both else 0.0}
