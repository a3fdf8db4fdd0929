"""Share of right labels, as `evaluate.load("accuracy")` computes it, for `evaluate.load("<this folder>")`."""

import datasets
import evaluate


class Accuracy(evaluate.Metric):
    """The fraction {"accuracy"} in [0, 1] of predictions that equal their reference."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Share of predictions that equal their reference, in [0, 1].",
            citation="",
            inputs_description="Integer labels.",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        if not references:
            raise ValueError("found no references; give at least one label")
        right = sum(prediction == gold for prediction, gold in zip(predictions, references, strict=True))
        return {"accuracy": right / len(references)}
