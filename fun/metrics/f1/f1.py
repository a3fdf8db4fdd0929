"""F1 of class 1 of two, as `evaluate.load("f1")` computes it by default, for `evaluate.load("<this folder>")`."""

import datasets
import evaluate


class F1(evaluate.Metric):
    """The harmonic mean {"f1"} in [0, 1] of precision and recall of the label 1; 0 where they share none."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="F1 of the label 1, in [0, 1].",
            citation="",
            inputs_description="Integer labels.",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        if not references:
            raise ValueError("found no references; give at least one label")
        both = sum(prediction == gold == 1 for prediction, gold in zip(predictions, references, strict=True))
        return {"f1": 2 * both / (predictions.count(1) + references.count(1)) if both else 0.0}
