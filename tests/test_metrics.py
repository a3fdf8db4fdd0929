"""The metric modules: values worked out by hand, a reference implementation, real answers."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import evaluate
import pytest
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

from fun import metrics
from tests.conftest import real_data

CASES = json.loads((Path(__file__).parent / "data" / "metric_cases.json").read_text(encoding="utf-8"))
XQUAD = ("en", "ar", "de", "es", "hi", "th", "vi", "zh")


def scores(metric: evaluate.Metric, predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """The metric over texts alone; positions in the context do not enter it."""
    ids = [str(index) for index in range(len(predictions))]
    result: dict[str, float] = metric.compute(
        predictions=[{"id": id, "prediction_text": text} for id, text in zip(ids, predictions, strict=True)],
        references=[
            {"id": id, "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}
            for id, texts in zip(ids, answers, strict=True)
        ],
    )
    return result


def real_questions(language: str) -> Iterator[tuple[str, list[str]]]:
    """Context and gold answers of every question of XQuAD."""
    path = real_data() / "xquad" / f"xquad.{language}.json"
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield paragraph["context"], [answer["text"] for answer in question["answers"]]


@pytest.mark.parametrize("case", CASES, ids=[f"{case['configuration']}: {case['description']}" for case in CASES])
def test_worked_example(case: dict[str, Any]) -> None:
    metric = metrics.load("squad", case["configuration"])
    assert scores(metric, case["predictions"], case["answers"]) == pytest.approx(case["expected"])


@pytest.mark.parametrize("configuration", ["v1", "zh", "mlqa-de"])
def test_evaluate_loads_the_folder(configuration: str) -> None:
    partial = [case for case in CASES if case["expected"]["f1"] not in (0, 100)]
    case = next(case for case in partial if case["configuration"] == configuration)
    metric = evaluate.load(str(Path(metrics.__file__).parent / "squad"), configuration, keep_in_memory=True)
    assert scores(metric, case["predictions"], case["answers"]) == pytest.approx(case["expected"])


def test_accuracy() -> None:
    folder = Path(metrics.__file__).parent / "accuracy"
    for metric in (metrics.load("accuracy"), evaluate.load(str(folder), keep_in_memory=True)):
        assert metric.compute(predictions=[0, 1, 2, 2], references=[0, 1, 2, 0]) == {"accuracy": 0.75}


@pytest.mark.parametrize("language", [language for language in XQUAD if language != "zh"])
def test_squad_v1_agrees_with_transformers(language: str) -> None:
    questions = list(real_questions(language))
    draw = random.Random(0)
    predictions = []
    for context, answers in questions:
        # Near the answer, so that many predictions share some of its words.
        start = max(0, context.index(answers[0]) - draw.randrange(12))
        predictions.append(context[start : start + draw.randrange(1, 2 * len(answers[0]) + 12)])
    pairs = list(zip(predictions, (answers for _, answers in questions), strict=True))
    found = scores(metrics.load("squad", "v1"), predictions, [answers for _, answers in questions])
    exact = [max(compute_exact(answer, prediction) for answer in answers) for prediction, answers in pairs]
    f1 = [max(compute_f1(answer, prediction) for answer in answers) for prediction, answers in pairs]
    assert found["exact_match"] == pytest.approx(100 * sum(exact) / len(pairs))
    assert found["f1"] == pytest.approx(100 * sum(f1) / len(pairs))
    assert 20 < found["f1"] < 95  # the draw tests something


@pytest.mark.parametrize("language", XQUAD)
def test_perfect_predictions_score_100(language: str) -> None:
    answers = [answers for _, answers in real_questions(language)]
    found = scores(metrics.qa_metrics("xquad", language)[""], [texts[0] for texts in answers], answers)
    assert found == {"exact_match": 100, "f1": 100}


@pytest.mark.parametrize("language", [language for language in XQUAD if language != "th"])
def test_perfect_predictions_score_100_on_mlqa(language: str) -> None:
    answers = [answers for _, answers in real_questions(language)]
    found = scores(metrics.load("squad", f"mlqa-{language}"), [texts[0] for texts in answers], answers)
    assert found == {"exact_match": 100, "f1": 100}


def test_mlqa_has_no_thai() -> None:
    with pytest.raises(ValueError, match="found the configuration 'mlqa-th', expected one of v1, zh, mlqa-ar"):
        metrics.load("squad", "mlqa-th")


def test_only_chinese_is_scored_by_character() -> None:
    configurations = {code: metrics.qa_metrics("xquad", code)[""].config_name for code in ("en", "th", "l1", "zh")}
    assert configurations == {"en": "v1", "th": "v1", "l1": "v1", "zh": "zh"}


def test_metrics_side_by_side_share_nothing() -> None:
    one, other = metrics.load("accuracy"), metrics.load("accuracy")
    one.add_batch(predictions=[1, 1], references=[1, 1])
    other.add_batch(predictions=[0, 0], references=[1, 1])
    assert (one.compute(), other.compute()) == ({"accuracy": 1.0}, {"accuracy": 0.0})
    assert list(Path(one.data_dir).glob(f"*{one.experiment_id}*")) == []  # nothing went through the disk


def test_ids_must_match() -> None:
    with pytest.raises(ValueError, match="one prediction per id"):
        metrics.load("squad", "v1").compute(
            predictions=[{"id": "a", "prediction_text": "x"}],
            references=[{"id": "b", "answers": {"text": ["x"], "answer_start": [0]}}],
        )
