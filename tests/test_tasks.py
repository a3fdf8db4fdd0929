"""The tasks: features, labels, prompts, post-processing, subsets and what they refuse."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from fun import world
from fun.data import WorldSource, subset
from fun.errors import ConfigError, RunError
from fun.models.heads import ClassificationHead, MultipleChoiceHead, QAHead
from fun.tasks.base import CHUNK, collate
from fun.tasks.choice import prompt
from fun.tasks.qa import Window, locate
from tests import declared
from tests.conftest import real_data

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
MNLI = declared.task("mnli", max_length=16)
COPA = declared.task("copa", max_length=32)


def fast(tokenizer: Tokenizer, inputs: Sequence[str] = INPUTS, max_length: int = 512) -> PreTrainedTokenizerFast:
    """[CLS] A [SEP] B [SEP], around any model of the tokenizers library."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=list(inputs),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def words(*texts: str, **settings: Any) -> PreTrainedTokenizerFast:
    """One token per word, punctuation mark or Chinese character of `texts`."""
    chinese = pre_tokenizers.Split(Regex("[\u4e00-\u9fa5]"), behavior="isolated")
    splitter = pre_tokenizers.Sequence([chinese, pre_tokenizers.BertPreTokenizer()])
    known = dict.fromkeys(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    tokenizer = Tokenizer(WordLevel({word: id for id, word in enumerate([*SPECIAL, *known])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = splitter
    return fast(tokenizer, **settings)


def question(context: str, answer: str, asked: str = "who ?") -> dict[str, Any]:
    """A row in SQuAD's columns."""
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": "q", "title": "t", "context": context, "question": asked, "answers": answers}


def pair(premise: str, hypothesis: str, label: int) -> dict[str, Any]:
    """A row in XNLI's columns."""
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


ITEM = {
    "premise": "The man slipped.",
    "choice1": "It rained.",
    "choice2": "He sang a very long song.",
    "question": "cause",
    "label": 0,
}
SQUAD = declared.task("squad", max_length=12, doc_stride=2)
CONTEXT = "a b c d e f g h i j k l"  # 12 tokens; a window of SQUAD takes 7 of them beside "who ?"
LETTERS = words(CONTEXT, "who ?")


# Question answering: windows and labels


def test_windows_overlap_and_miss_nothing() -> None:
    windows = SQUAD.encode([question(CONTEXT, "b c")], LETTERS, "en")
    assert [LETTERS.decode(window.inputs["input_ids"]) for window in windows] == [
        "[CLS] who ? [SEP] a b c d e f g [SEP]",
        "[CLS] who ? [SEP] f g h i j k l [SEP]",
    ]
    assert [window.example for window in windows] == [0, 0]
    assert [window.length for window in windows] == [12, 12]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("b c", [(5, 6), (0, 0)]),  # in the first window only
        ("k", [(0, 0), (9, 9)]),  # in the second only
        ("f g", [(9, 10), (4, 5)]),  # in both
        ("e f g h", [(0, 0), (0, 0)]),  # cut by both: [CLS]
    ],
)
def test_labels_are_the_answer_or_cls(answer: str, labels: list[tuple[int, int]]) -> None:
    windows = SQUAD.encode([question(CONTEXT, answer)], LETTERS, "en")
    assert [window.labels for window in windows] == labels


def test_answer_inside_a_token_takes_the_whole_token() -> None:
    (window,) = SQUAD.encode([question("in a lighthouse", "house")], words("in a lighthouse", "who ?"), "en")
    assert window.labels == (6, 6)
    assert window.offsets[6].tolist() == [5, 15]


def test_overlapping_offsets() -> None:
    # SentencePiece: "▁" and the piece after it may cover the same character.
    offsets = np.array([[-1, -1], [0, 2], [2, 3], [2, 3], [3, 5], [-1, -1]])
    # The last token that begins at or before the answer is the piece (3), not the lone "▁" (2).
    assert locate(offsets, (2, 3), is_first=True, is_last=True) == (3, 3)
    assert locate(offsets, (2, 5), is_first=True, is_last=True) == (3, 4)
    assert locate(offsets, (0, 1), is_first=True, is_last=True) == (1, 1)


def test_spans_at_the_edge_of_a_window() -> None:
    offsets = np.array([[-1, -1], [3, 5], [6, 8], [-1, -1]])
    assert locate(offsets, (3, 8), is_first=False, is_last=False) == (1, 2)
    assert locate(offsets, (2, 5), is_first=False, is_last=False) is None  # its first character lies before
    assert locate(offsets, (6, 9), is_first=False, is_last=False) is None  # its last one lies behind
    # Nothing lies before the first window or behind the last: the tokenizer dropped these characters.
    assert locate(offsets, (2, 5), is_first=True, is_last=False) == (1, 1)
    assert locate(offsets, (6, 9), is_first=False, is_last=True) == (2, 2)
    assert locate(offsets, (5, 6), is_first=True, is_last=True) is None  # white space alone


def test_rows_keep_their_index_from_chunk_to_chunk() -> None:
    rows = [question("a b", "b")] * (CHUNK + 1)
    assert [window.example for window in SQUAD.encode(rows, LETTERS, "en")] == list(range(CHUNK + 1))


def test_leading_space_of_a_question_is_dropped() -> None:
    tokenizer = words(CONTEXT, "who ?")
    (plain,) = SQUAD.encode([question("a b", "a")], tokenizer, "en")
    (spaced,) = SQUAD.encode([question("a b", "a", asked="  \n who ?")], tokenizer, "en")
    assert spaced.inputs["input_ids"].tolist() == plain.inputs["input_ids"].tolist()


def test_padding_to_max_length() -> None:
    short, padded = (
        declared.task("squad", max_length=20, doc_stride=2, pad_to_max_length=pad).encode(
            [question("a b", "b")], LETTERS, "en"
        )[0]
        for pad in (False, True)
    )
    assert (short.length, padded.length) == (7, 20)
    assert padded.labels == short.labels == (5, 5)
    for name in INPUTS:
        assert padded.inputs[name].tolist() == short.inputs[name].tolist() + [0] * 13
    assert padded.offsets.tolist() == short.offsets.tolist() + [[-1, -1]] * 13


# Question answering: from logits to text


def peaks(window: Window, *spans: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Start and end logits that favour the spans (first, last, logit of both)."""
    start, end = np.zeros((2, window.length), dtype=np.float32)
    for first, last, value in spans:
        start[first], end[last] = value, value
    return start, end


def test_answer_comes_from_the_best_window() -> None:
    rows = [question(CONTEXT, "k l")]
    first, second = SQUAD.encode(rows, LETTERS, "en")
    scored = SQUAD.score(rows, [first, second], [peaks(first, (4, 4, 2)), peaks(second, (9, 10, 3))], "en", "xquad")
    assert scored.predictions == [{"example": 0, "id": "q", "prediction": "k l", "answers": ["k l"]}]
    assert scored.metrics == {"f1": 100, "em": 100}
    assert tuple(scored.metrics) == SQUAD.metrics


def test_only_context_tokens_answer() -> None:
    rows = [question("b c", "c")]
    (window,) = SQUAD.encode(rows, LETTERS, "en")
    # [CLS], the question and [SEP] all beat the context.
    scored = SQUAD.score(rows, [window], [peaks(window, (0, 0, 9), (1, 2, 8), (6, 6, 7), (5, 5, 1))], "en", "xquad")
    assert scored.predictions[0]["prediction"] == "c"


def test_ties_go_to_the_first_and_shortest_span() -> None:
    rows = [question(CONTEXT, "a")]
    windows = SQUAD.encode(rows, LETTERS, "en")
    scored = SQUAD.score(rows, windows, [peaks(window) for window in windows], "en", "xquad")
    assert scored.predictions[0]["prediction"] == "a"


def test_no_valid_span_is_a_wrong_answer() -> None:
    task = declared.task("squad", max_length=12, doc_stride=2, n_best=1)
    rows = [question("b c", "c"), question("d", "d")]
    features = task.encode(rows, LETTERS, "en")
    scored = task.score(rows, features, [peaks(features[0], (0, 0, 9)), peaks(features[1], (4, 4, 9))], "en", "xquad")
    assert [prediction["prediction"] for prediction in scored.predictions] == ["", "d"]
    assert scored.metrics == {"f1": 50, "em": 50}


def test_chinese_is_scored_by_character() -> None:
    rows = [question("中国人民", "中国")]
    features = SQUAD.encode(rows, words("中国人民", "who ?"), "en")
    logits = [peaks(features[0], (4, 7, 1))]
    assert SQUAD.score(rows, features, logits, "zh", "xquad").metrics["f1"] == pytest.approx(200 / 3)
    assert SQUAD.score(rows, features, logits, "en", "xquad").metrics["f1"] == 0


def test_mlqa_has_a_metric_of_its_own_beside_the_reported_one() -> None:
    rows = [question("er sah das Haus", "Haus", asked="who ?")]
    features = SQUAD.encode(rows, words("er sah das Haus", "who ?"), "en")
    logits = [peaks(features[0], (6, 7, 1))]  # das Haus: the German article counts for SQuAD's metric only
    assert SQUAD.score(rows, features, logits, "de", "xquad").metrics == {"f1": pytest.approx(200 / 3), "em": 0}
    assert SQUAD.score(rows, features, logits, "de", "mlqa").metrics == {
        "f1": pytest.approx(200 / 3),
        "em": 0,
        "f1_mlqa": 100,
        "em_mlqa": 100,
    }


def slow_answers(
    rows: list[dict[str, Any]],
    windows: list[Window],
    logits: list[tuple[np.ndarray, ...]],
    n: int,
    longest: int,
) -> list[str]:
    """The definition, by enumeration."""
    answers = []
    for example, row in enumerate(rows):
        candidates = []
        for position, (window, (start, end)) in enumerate(zip(windows, logits, strict=True)):
            if window.example != example:
                continue
            starts = sorted(range(window.length), key=lambda token: (-start[token], token))[:n]
            ends = sorted(range(window.length), key=lambda token: (-end[token], token))[:n]
            for first in starts:
                for last in ends:
                    begin, stop = window.offsets[first][0], window.offsets[last][1]
                    if first <= last < first + longest and begin >= 0 and stop >= 0:
                        rank = (-(float(start[first]) + float(end[last])), position, first, last - first)
                        candidates.append((rank, row["context"][begin:stop]))
        answers.append(min(candidates)[1] if candidates else "")
    return answers


@pytest.mark.parametrize("integer", [False, True], ids=["random", "many ties"])
@pytest.mark.parametrize(("n_best", "longest"), [(1, 30), (3, 2), (20, 4)])
def test_decoder_agrees_with_enumeration(n_best: int, longest: int, integer: bool) -> None:
    task = declared.task("squad", max_length=12, doc_stride=2, n_best=n_best, max_answer_length=longest)
    letters = CONTEXT.split()
    draw = np.random.RandomState(0)
    rows = [question(" ".join(letters[: draw.randint(1, 13)]), "a") for _ in range(80)]
    windows = task.encode(rows, LETTERS, "en")
    logits: list[tuple[np.ndarray, ...]] = [
        tuple(
            draw.randint(0, 3, window.length).astype(np.float32)
            if integer
            else draw.randn(window.length).astype(np.float32)
            for _ in range(2)
        )
        for window in windows
    ]
    found = [prediction["prediction"] for prediction in task.score(rows, windows, logits, "en", "xquad").predictions]
    assert found == slow_answers(rows, windows, logits, n_best, longest)
    assert len(set(found)) > 1


def real_rows(language: str, count: int) -> list[dict[str, Any]]:
    """The first questions of XQuAD as rows."""
    path = real_data() / "xquad" / f"xquad.{language}.json"
    rows = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                answers = {key: [answer[key] for answer in asked["answers"]] for key in ("text", "answer_start")}
                rows.append(
                    {
                        "id": asked["id"],
                        "context": paragraph["context"],
                        "question": asked["question"],
                        "answers": answers,
                    }
                )
    return rows[:count]


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_gold_span_survives_tokens_and_back(language: str) -> None:
    rows = real_rows(language, 150)
    model = Tokenizer(BPE(unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer(lowercase=False)
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = sorted({row["context"] for row in rows})
    model.train_from_iterator(texts, BpeTrainer(vocab_size=2000, special_tokens=SPECIAL, show_progress=False))
    task = declared.task("squad", max_length=160, doc_stride=64, max_answer_length=160)
    windows = task.encode(rows, fast(model), "en")
    assert len(windows) > len(rows)
    logits = [peaks(window, (*window.labels, 9)) for window in windows]
    scored = task.score(rows, windows, logits, language, "xquad")
    for row, prediction in zip(rows, scored.predictions, strict=True):
        assert row["answers"]["text"][0].strip() in prediction["prediction"]
    assert scored.metrics["f1"] > 99  # the rest: answers that end inside a token


# Inference and multiple choice


def test_mnli_is_one_pair() -> None:
    tokenizer = words("the cat sleeps", "it is awake")
    (feature,) = MNLI.encode([pair("the cat sleeps", "it is awake", 2)], tokenizer, "en")
    assert tokenizer.decode(feature.inputs["input_ids"]) == "[CLS] the cat sleeps [SEP] it is awake [SEP]"
    assert feature.inputs["token_type_ids"].tolist() == [0] * 5 + [1] * 4
    assert (feature.example, feature.labels, feature.length, feature.slots) == (0, (2,), 9, 9)


def test_longest_segment_is_cut_first() -> None:
    tokenizer = words(CONTEXT)
    (feature,) = MNLI.encode([pair(f"{CONTEXT} {CONTEXT}", "a b", 0)], tokenizer, "en")
    assert feature.length == MNLI.max_length
    assert feature.inputs["token_type_ids"].sum() == 3  # a b [SEP]


def test_tokenizer_without_token_types() -> None:
    tokenizer = words(CONTEXT, inputs=["input_ids", "attention_mask"])
    (feature,) = MNLI.encode([pair("a", "b", 0)], tokenizer, "en")
    assert list(feature.inputs) == ["input_ids", "attention_mask"]


@pytest.mark.parametrize("asked", ["cause", "effect"])
def test_copa_prompt_is_english_in_every_language(asked: str) -> None:
    row = ITEM | {"premise": "Der Mann rutschte aus.", "question": asked}
    assert prompt(row) == f"Der Mann rutschte aus. What was the {asked}?"


def test_copa_pairs_the_prompt_with_each_choice() -> None:
    tokenizer = words(prompt(ITEM), ITEM["choice1"], ITEM["choice2"])
    (feature,) = COPA.encode([ITEM], tokenizer, "en")
    assert [tokenizer.decode(ids) for ids in feature.inputs["input_ids"]] == [
        "[CLS] The man slipped . What was the cause ? [SEP] It rained . [SEP]" + " [PAD]" * 4,
        "[CLS] The man slipped . What was the cause ? [SEP] He sang a very long song . [SEP]",
    ]
    assert feature.inputs["attention_mask"].sum(axis=1).tolist() == [15, 19]
    assert (feature.labels, feature.length, feature.slots) == ((0,), 19, 38)


def test_labels_are_scored_by_accuracy() -> None:
    rows = [pair("a", "b", 2), pair("a", "b", 0)]
    features = MNLI.encode(rows, LETTERS, "en")
    scored = MNLI.score(rows, features, [(np.array([0.0, 1, 2]),), (np.array([0.0, 1, 1]),)], "en", "xnli")
    assert scored.metrics == {"accuracy": 50}
    assert scored.predictions == [
        {"example": 0, "prediction": 2, "label": 2},
        {"example": 1, "prediction": 1, "label": 0},
    ]


def test_copa_is_scored_over_both_choices() -> None:
    features = COPA.encode([ITEM], LETTERS, "en")
    scored = COPA.score([ITEM], features, [(np.array([0.3, 0.1]),)], "et", "xcopa")
    assert scored.metrics == {"accuracy": 100}


# Batches


def test_collate_pads_to_the_longest_of_its_features() -> None:
    features = MNLI.encode([pair("a", "b", 1), pair("a b c", "d", 2)], LETTERS, "en")
    batch = collate(features, pad_id=7)
    assert batch["input_ids"].shape == (2, 7)
    assert batch["input_ids"][0, 5:].tolist() == [7, 7]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
    assert batch["labels"].tolist() == [[1], [2]]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_collate_keeps_choices_apart() -> None:
    features = COPA.encode([ITEM, ITEM | {"choice2": "He left.", "label": 1}], LETTERS, "en")
    batch = collate(features, pad_id=0)
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "input_ids": (2, 2, 19),
        "attention_mask": (2, 2, 19),
        "token_type_ids": (2, 2, 19),
        "labels": (2, 1),
    }
    assert batch["attention_mask"].sum(dim=2).tolist() == [[15, 19], [15, 15]]


def test_collate_gives_two_labels_to_a_window() -> None:
    batch = collate(SQUAD.encode([question(CONTEXT, "b c")], LETTERS, "en"), pad_id=0)
    assert batch["input_ids"].shape == (2, 12)
    assert batch["labels"].tolist() == [[5, 6], [0, 0]]


# The rooms around


def test_every_task_has_its_head() -> None:
    asked = {"layers": 1, "pooler": True}
    unmasked = declared.task("squad", max_length=8, doc_stride=2, mask_padding=False)
    assert unmasked.head(**asked) == QAHead(mask_padding=False)
    assert MNLI.head(**asked) == ClassificationHead(num_labels=3, layers=1, use_pooler=True)
    assert COPA.head(**asked) == MultipleChoiceHead(layers=1, use_pooler=True)


def test_seeded_subsets_are_nested_and_in_order() -> None:
    rows = list(range(1000))
    small, large = (subset(rows, size, "seeded") for size in (100, 500))
    assert set(small) < set(large)
    assert small == sorted(small)
    assert small == subset(rows, 100, "seeded")
    assert small[:5] == [13, 28, 36, 69, 86]  # the same on every machine and for every version of numpy
    assert subset(rows, 3, "first") == [0, 1, 2]
    assert subset(rows, None, "seeded") == rows


@pytest.mark.parametrize("size", [0, 11])
def test_subset_of_too_few_rows(size: int) -> None:
    with pytest.raises(ConfigError, match=f"found {size}, expected 1 to 10.*data_size=10"):
        subset(range(10), size, "seeded")


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("squad", {"validation": 300, "test": 300}),
        ("mnli", {"validation": 400, "test": 400}),
        ("copa", {"train": 400, "validation": 100, "test": 300}),
    ],
)
def test_world_has_rows_for_every_task(name: str, splits: dict[str, int]) -> None:
    source, task = WorldSource(), declared.task(name)
    dataset = source.training_set(task)
    assert dataset in ("microqa", "micronli", "microcopa")
    languages = source.test_sets(task)[dataset]
    assert languages == ("en", "l1", "l2", "l3", "l4", "l5", "l6", "l7")
    tokenizer = AutoTokenizer.from_pretrained(world.folder("encoder"))
    for split, count in splits.items():
        language = "l7" if split == "test" else "en"
        rows = source.rows(dataset, language, split)
        assert {feature.example for feature in task.encode(rows, tokenizer, "en")} == set(range(count))
        assert source.key(dataset, language, split).startswith("world@sha256:")


# What is refused


def test_missing_column() -> None:
    with pytest.raises(ConfigError, match=r"row 0 has the columns sentence1, label; expected premise, hypothesis"):
        MNLI.encode([{"sentence1": "a", "label": 0}], LETTERS, "en")


def test_split_without_labels() -> None:
    with pytest.raises(ConfigError, match="row 1 has label = -1, expected one of 0, 1, 2"):
        MNLI.encode([pair("a", "b", 0), pair("a", "b", -1)], LETTERS, "en")


def test_unknown_copa_question() -> None:
    with pytest.raises(ConfigError, match="question = 'Ursache', expected one of 'cause', 'effect'"):
        COPA.encode([ITEM | {"question": "Ursache"}], LETTERS, "en")


def test_question_without_answer() -> None:
    row = question("a b", "a") | {"answers": {"text": [], "answer_start": []}}
    with pytest.raises(ConfigError, match="expected text and answer_start, equally long and not empty"):
        SQUAD.encode([row], LETTERS, "en")


@pytest.mark.parametrize("start", [3, -1, 0])
def test_answer_that_is_not_where_it_is_said_to_be(start: int) -> None:
    """Outside the context, before it, or at another place: a blank that was lost, or bytes counted for characters."""
    rows = [question("a b", "a"), question("a b", "b") | {"answers": {"text": ["b", "a"], "answer_start": [start, 0]}}]
    found = {3: "''", -1: "''", 0: "'a'"}[start]
    with pytest.raises(ConfigError, match=rf"1 of 3 answers .* \(q: {found} for 'b' at character {start}\)"):
        SQUAD.encode(rows, LETTERS, "en")


def test_label_that_is_true_and_no_number() -> None:
    with pytest.raises(ConfigError, match="row 0 has label = True, expected one of 0, 1, 2"):
        MNLI.encode([pair("a", "b", True)], LETTERS, "en")


def test_no_rows() -> None:
    with pytest.raises(ConfigError, match="found no rows"):
        COPA.encode([], LETTERS, "en")


def test_question_that_leaves_no_room() -> None:
    with pytest.raises(ConfigError, match=r"at least 16.*row 1 has 10 tokens.*task\.max_length=16"):
        SQUAD.encode([question("a b", "a"), question("a b", "a", asked="who " * 10)], LETTERS, "en")
    enough = declared.task("squad", max_length=16, doc_stride=2)
    assert len(enough.encode([question(CONTEXT, "a", asked="who " * 10)], LETTERS, "en")) == 10


def test_max_length_beyond_the_encoder() -> None:
    with pytest.raises(ConfigError, match=r"max_length 16.*at most 8 tokens; type task\.max_length=8"):
        MNLI.encode([pair("a", "b", 0)], words(CONTEXT, max_length=8), "en")


def test_slow_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL))
    with pytest.raises(ConfigError, match="slow tokenizer BertTokenizer, expected a fast one"):
        MNLI.encode([pair("a", "b", 0)], BertTokenizer(str(tmp_path / "vocab.txt")), "en")


def test_output_that_is_not_a_number() -> None:
    rows = [pair("a", "b", 0)]
    with pytest.raises(RunError, match=r"feature 0 not finite.*train\.lr"):
        MNLI.score(rows, MNLI.encode(rows, LETTERS, "en"), [(np.array([0.0, np.nan, 1.0]),)], "en", "xnli")
