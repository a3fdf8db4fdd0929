"""The metric modules: values worked out by hand, a reference implementation, real answers."""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, permutations
from math import exp, log2
from pathlib import Path
from statistics import fmean
from typing import Any

import evaluate
import pytest
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

from fun import metrics
from fun.data import facts, formats
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


# What XGLUE publishes of Unicoder


def sentences(path: Path) -> list[list[str]]:
    """The last column of each line, by sentence."""
    lines = path.read_text(encoding="utf-8").split("\n")
    grouped = groupby((line.split(" ")[-1] for line in lines), key=bool)
    return [list(tags) for tagged, tags in grouped if tagged]


def test_scores_that_xglue_publishes_for_parts_of_speech() -> None:
    folder = real_data() / "xglue_pos"
    judged = 0
    for row in csv.DictReader((folder / "scores.csv").open(encoding="utf-8")):
        name = f"{row['language']}.{row['split']}"
        if not (folder / name).is_file():
            continue
        judged += 1
        gold, predicted = sentences(folder / name), sentences(folder / "unicoder" / f"{name}.prediction")
        padded = [tags + ["O"] * (len(words) - len(tags)) for tags, words in zip(predicted, gold, strict=True)]
        found = metrics.load("tag_f1", "runs").compute(predictions=padded, references=gold)
        older = {metric: float(row[f"{metric}_seqeval_0.0.12"]) for metric in ("precision", "recall", "f1")}
        expected = {name: 100 * value for name, value in older.items()} | {"accuracy": 100 * float(row["accuracy"])}
        assert found == pytest.approx(expected, rel=1e-14)
        if row["language"] != "zh":  # 3 of 9,950 chunks differ
            assert found["precision"] == pytest.approx(100 * float(row["published_by_xglue"]), rel=1e-14)
    assert judged >= 6


def test_scores_that_xglue_publishes_for_xnli() -> None:
    published = {
        "sw.dev": 0.6795180722891566,
        "sw.test": 0.6688622754491018,
        "ur.dev": 0.6622489959839357,
        "ur.test": 0.6548902195608782,
    }
    dataset, judged = facts.facts("xnli15"), 0
    for name, expected in published.items():
        path = real_data() / "xnli_unicoder" / f"{name}.prediction"
        if not path.is_file():
            continue
        judged += 1
        language = name.partition(".")[0]
        gold = formats.read(
            real_data() / "xnli" / f"{name}.tsv", dataset.files["test"], language, dataset.columns, dataset.labels
        )
        predicted = [dataset.labels.index(label) for label in path.read_text(encoding="utf-8").split()]
        found = metrics.load("accuracy").compute(predictions=predicted, references=[row["label"] for row in gold])
        assert found["accuracy"] == expected
    assert judged >= 2


def test_f1_is_of_class_1() -> None:
    folder = Path(metrics.__file__).parent / "f1"
    for metric in (metrics.load("f1"), evaluate.load(str(folder), keep_in_memory=True)):
        assert metric.compute(predictions=[1, 1, 0, 0, 0], references=[1, 0, 1, 1, 0]) == {"f1": pytest.approx(2 / 5)}
        assert metric.compute(predictions=[0, 0], references=[0, 0]) == {"f1": 0}


# Ranking


def ndcg(*queries: tuple[Sequence[float], Sequence[float]]) -> float:
    """Of queries with the scores and the grades of their pages."""
    pages = [
        (score, {"query": str(number), "grade": grade})
        for number, (scores, grades) in enumerate(queries)
        for score, grade in zip(scores, grades, strict=True)
    ]
    found: dict[str, float] = metrics.load("ndcg").compute(
        predictions=[score for score, _ in pages], references=[reference for _, reference in pages]
    )
    return found["ndcg"]


RANKED = [  # scores, grades, nDCG by hand
    ([2, 2, 0, 0], [3, 2, 0, 1], 0.953968),
    ([4, 3, 0], [4, 2, 1], 1),
    ([1, 0], [0, 2], 0.630930),
    ([1, 1, 1], [2, 0, 1], 0.809953),
    ([0, 1, 2], [0, 0, 0], 0),
    ([0, 2, 1], [4, 0, 3], 0.660602),
]


def test_ndcg_by_hand() -> None:
    for scores, grades, expected in RANKED:
        assert ndcg((scores, grades)) == pytest.approx(100 * expected, abs=1e-4)
    queries = [(scores, grades) for scores, grades, _ in RANKED]
    some = [queries[0], queries[1], ([1], [3]), queries[2], queries[4]]  # a query of one page is left out
    assert ndcg(*some) == pytest.approx(64.6224, abs=1e-4)
    metric = evaluate.load(str(Path(metrics.__file__).parent / "ndcg"), keep_in_memory=True)
    pages = [{"query": "a", "grade": grade} for grade in (0, 2)]
    assert metric.compute(predictions=[1, 0], references=pages)["ndcg"] == pytest.approx(63.0930, abs=1e-4)
    with pytest.raises(ValueError, match="no query of two pages"):
        ndcg(([1], [3]), ([1], [2]))


def test_ndcg_of_ties_is_the_mean_over_their_orders() -> None:
    draw = random.Random(0)
    for _ in range(30):
        size = draw.randint(2, 6)
        scores = [draw.randrange(3) for _ in range(size)]
        grades = [draw.randrange(5) for _ in range(size)]
        ideal = sum(grade / log2(rank + 2) for rank, grade in enumerate(sorted(grades, reverse=True)))
        orders = [order for order in permutations(range(size)) if is_descending([scores[page] for page in order])]
        mean = fmean(sum(grades[page] / log2(rank + 2) for rank, page in enumerate(order)) for order in orders)
        found = ndcg((scores, grades))
        assert found == pytest.approx(100 * mean / ideal if ideal else 0)
        assert ndcg(([exp(score) for score in scores], grades)) == pytest.approx(found)
        untied = all(is_descending([grades[page] for page in order]) for order in orders)
        assert (found == pytest.approx(100)) == (untied and bool(ideal))


def is_descending(values: Sequence[float]) -> bool:
    return all(before >= after for before, after in pairwise(values))
