"""Share of right labels, as `evaluate.load("accuracy")` computes it, for `evaluate.load("<this folder>")`."""

import datasets
import evaluate


class Accuracy(evaluate.Metric):
    """The fraction {"accuracy"} in [0, 1] of predictions that equal their reference."""

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("int32")
        features = datasets.Features({"predictions": label, "references": label})
        return evaluate.MetricInfo(description=__doc__, citation="", features=features)

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        right = sum(prediction == gold for prediction, gold in zip(predictions, references, strict=True))
        return {"accuracy": right / len(references)}
