"""Tagging: what F1 counts, files of tagged words, sentences around every cut, the head, and runs from the command line."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from evaluate import load
from transformers import PreTrainedTokenizerFast, XLMRobertaTokenizerFast
from transformers.modeling_outputs import TokenClassifierOutput

from fun import metrics
from fun.data import FolderSource, HubSource
from fun.errors import ConfigError, RunError
from fun.inspect import request
from fun.inspect.report import report
from fun.models.heads import TaggingHead
from fun.tasks.base import Feature, collate
from tests import declared, hub_datasets, tiny_tokenizers
from tests.conftest import SHORT, Cli, real_data
from tests.hub_standin import HubStandin
from tests.test_real_text import KINDS
from tests.test_sources import read

UDPOS, WIKIANN = declared.task("udpos"), declared.task("wikiann")


# F1


def f1(configuration: str, predicted: Sequence[str], gold: Sequence[str]) -> dict[str, float]:
    """Of sentences, whose tags are written with blanks between them."""
    scores: dict[str, float] = metrics.load("tag_f1", configuration).compute(
        predictions=[tags.split() for tags in predicted], references=[tags.split() for tags in gold]
    )
    return scores


@pytest.mark.parametrize(
    ("configuration", "predicted", "gold", "expected"),
    [
        ("iob2", "B-PER I-PER O B-LOC", "B-PER I-PER O B-ORG", 50),  # a span of another type is another
        ("iob2", "B-PER O O", "B-PER I-PER O", 0),  # and so is a shorter one
        ("iob2", "B-PER B-PER", "B-PER I-PER", 0),  # two beside each other are not one
        ("iob2", "O I-PER", "O B-PER", 100),  # an I that nothing precedes begins one
        ("iob2", "B-PER I-LOC", "B-PER B-LOC", 100),  # and so does one of another type
        ("iob2", "O O", "O O", 0),
        ("runs", "NOUN NOUN VERB", "NOUN NOUN VERB", 100),
        ("runs", "NOUN VERB VERB", "NOUN NOUN VERB", 0),  # 2 runs each, none the same
        ("runs", "SCONJ SCONJ NOUN", "SCONJ X NOUN", 200 / 3),  # each SCONJ is alone: two spans of three are the same
        ("runs", "INTJ INTJ", "INTJ X", 0),  # one run of two is not one of one
        ("runs", "INTJ INTJ", "INTJ INTJ", 100),
        ("runs", "O NOUN", "NOUN NOUN", 0),  # a word that the encoder never read has no tag
    ],
)
def test_spans_by_hand(configuration: str, predicted: str, gold: str, expected: float) -> None:
    assert f1(configuration, [predicted], [gold])["f1"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("configuration", "gold", "predicted", "expected"),
    [  # precision, recall, F1; accuracy
        ("iob2", ["B-PER", "B-LOC O B-LOC"], ["B-PER", "B-LOC O O"], (1, 2 / 3, 0.8, 3 / 4)),
        ("iob2", ["B-PER I-PER"], ["B-PER I-ORG"], (0, 0, 0, 1 / 2)),
        ("runs", ["DET NOUN VERB"], ["DET VERB VERB"], (1 / 2, 1 / 3, 0.4, 2 / 3)),
        ("runs", ["SCONJ PRON"], ["CCONJ PRON"], (1 / 2, 1 / 2, 1 / 2, 1 / 2)),
    ],
)
def test_precision_and_recall_by_hand(
    configuration: str, gold: list[str], predicted: list[str], expected: tuple[float, ...]
) -> None:
    names = ("precision", "recall", "f1", "accuracy")
    assert f1(configuration, predicted, gold) == pytest.approx(
        {name: 100 * value for name, value in zip(names, expected, strict=True)}
    )


def test_all_sentences_count_together_and_accuracy_stands_beside() -> None:
    scores = f1("iob2", ["B-PER O", "B-LOC B-LOC B-LOC B-LOC"], ["B-PER O", "O O O B-LOC"])
    expected = {"f1": 200 * 2 / (5 + 2), "precision": 100 * 2 / 5, "recall": 100, "accuracy": 100 * 3 / 6}
    assert scores == pytest.approx(expected)


def test_evaluate_loads_the_folder() -> None:
    metric = load(str(Path(metrics.__file__).parent / "tag_f1"), "runs", keep_in_memory=True)
    scores = metric.compute(predictions=[["X"]], references=[["X"]])
    assert scores == dict.fromkeys(("f1", "precision", "recall", "accuracy"), 100)


def random_tags(draw: random.Random, tags: Sequence[str]) -> list[list[str]]:
    """Sentences in which the same tag is often repeated."""
    sentences = []
    for _ in range(300):
        sentence = [draw.choice(tags)]
        while draw.random() < 0.9:
            sentence.append(sentence[-1] if draw.random() < 0.4 else draw.choice(tags))
        sentences.append(sentence)
    return sentences


def disturbed(draw: random.Random, sentences: list[list[str]], tags: Sequence[str]) -> list[list[str]]:
    return [[tag if draw.random() < 0.8 else draw.choice(tags) for tag in sentence] for sentence in sentences]


# What seqeval 1.2.2 says of the sentences below, in percent: f1, precision, recall, accuracy. It is no dependency, since
# transformers would import scikit-learn, which it needs, in every process.
SEQEVAL = [
    ("iob2", 72.95401402961808, 70.87329631499243, 75.16059957173448, 81.64884442911348),
    ("iob2", 74.76817959980478, 72.64106211474632, 77.02362996480645, 83.25434439178515),
    ("iob2", 74.78401727861771, 72.5130890052356, 77.20178372352285, 82.62424025741866),
    ("iob2", 76.37892653969824, 74.48142788229619, 78.3756345177665, 83.85053831538949),
    ("iob2", 74.72289808056232, 72.46984792868379, 77.12053571428571, 82.53228120516499),
    ("runs", 65.25198938992041, 59.92028343666962, 71.62519851773425, 82.53722084367246),
    ("runs", 63.53829557713053, 58.87056471764118, 69.0099589923843, 80.6985956067699),
    ("runs", 63.57906275691971, 58.35010060362173, 69.83744732089103, 81.32899963885879),
    ("runs", 62.091179385530225, 56.594399277326104, 68.77058177826564, 80.79922027290448),
    ("runs", 63.531499556344286, 58.43307943416758, 69.6046662346079, 81.47295742232451),
]
SEQEVAL_ON_REAL_TEXT = (78.34909511498164, 78.27719811032185, 78.42112431475365, 81.0687827308724)


def test_f1_is_that_of_seqeval() -> None:
    """Of entities, well-formed or not, and of parts of speech.

    seqeval 1 takes CCONJ and SCONJ for one, and loses an X at the end of a sentence: on real text that is below 0.1.
    """
    usual = [tag for tag in UDPOS.labels if tag not in ("SCONJ", "CCONJ", "SYM", "X")]
    draw = random.Random(0)

    def compared(
        configuration: str, gold: list[list[str]], tags: Sequence[str], judged: Sequence[float], within: float
    ) -> None:
        ours = metrics.load("tag_f1", configuration).compute(predictions=disturbed(draw, gold, tags), references=gold)
        expected = dict(zip(("f1", "precision", "recall", "accuracy"), judged, strict=True))
        assert ours == pytest.approx(expected, abs=within)

    drawn = [WIKIANN.labels if configuration == "iob2" else usual for configuration, *_ in SEQEVAL]
    sentences = [random_tags(draw, tags) for tags in drawn]
    for (configuration, *judged), gold, tags in zip(SEQEVAL, sentences, drawn, strict=True):
        compared(configuration, gold, tags, judged, 1e-9)
    rows = FolderSource(real_data(), nonstandard=True).rows("udpos", "en", "validation")
    real = [[UDPOS.labels[tag] for tag in row["pos_tags"]] for row in rows]
    compared("runs", real, UDPOS.labels, SEQEVAL_ON_REAL_TEXT, 0.1)


# Files


@pytest.mark.parametrize("language", ["en", "tr"])
def test_treebanks_are_pooled_as_xtreme_pools_them(language: str) -> None:
    """Token by token: four treebanks in English, 264 multiword tokens in Turkish."""
    source = FolderSource(real_data(), nonstandard=True)
    oracle = (real_data() / "udpos" / "xtreme" / f"dev-{language}.tsv").read_text(encoding="utf-8")
    rows = source.rows("udpos", language, "validation")
    lines = (f"{word}\t{UDPOS.labels[tag]}" for row in rows for word, tag in pairs(row))
    ends = iter([len(row["tokens"]) for row in rows])
    written, left = [], next(ends)
    for line in lines:
        written.append(line)
        left -= 1
        if not left:
            written.append("")
            left = next(ends, 0)
    assert "\n".join(written).rstrip() == oracle.rstrip()
    if language == "en":
        assert len(FolderSource(real_data()).rows("udpos", "en", "validation")) == 3974  # as many as the facts say


def pairs(row: dict[str, Any]) -> list[tuple[str, int]]:
    return list(zip(row["tokens"], row["pos_tags"], strict=True))


def word(number: str, form: str, tag: str, head: int | str) -> str:
    return "\t".join([number, form, "_", tag, "_", "_", str(head), "_", "_", "_"])


def treebank(root: Path, *lines: str, language: str = "fr", treebank: str = "gsd") -> FolderSource:
    path = root / "udpos" / "UD_Some" / f"{language}_{treebank}-ud-test.conllu"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return FolderSource(root, nonstandard=True)


def tagged(source: FolderSource, language: str = "fr") -> list[str]:
    rows = source.rows("udpos", language, "test")
    return [" ".join(f"{word}/{UDPOS.labels[tag]}" for word, tag in pairs(row)) for row in rows]


def test_words_that_are_written_as_one(tmp_path: Path) -> None:
    source = treebank(
        tmp_path,
        "# text = Il va au marché",
        word("1", "Il", "PRON", 2),
        word("2", "va", "VERB", 0),
        word("3-4", "au", "_", "_"),
        word("3", "à", "ADP", 5),
        word("4", "le", "DET", 5),  # as high as "à": French prefers ADP
        word("5", "mar\u200cché noir", "NOUN", 2),
        word("5.1", "(", "X", "_"),
        "",
        word("1-3", "dámelo", "_", "_"),
        word("1", "da", "VERB", 0),  # the highest
        word("2", "me", "PRON", 1),
        word("3", "lo", "PRON", 1),
    )
    assert tagged(source) == ["Il/PRON va/VERB au/ADP marchénoir/NOUN", "dámelo/VERB"]


def test_sentences_whose_words_are_withheld_are_left_out(tmp_path: Path) -> None:
    def sentence(*forms: str) -> list[str]:
        return [*(word(str(n), form, "NOUN", n - 1) for n, form in enumerate(forms, 1)), ""]

    source = treebank(tmp_path, *sentence("_", "_", "a"), *sentence("a", "_", "b"), *sentence("_"), *sentence("c"))
    assert tagged(source) == ["a/NOUN _/NOUN b/NOUN", "c/NOUN"]


def test_treebanks_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Whatever the folders are called; another language's are another's, whose names begin alike."""
    for folder, name, form in (("Z", "fr_gsd", "a"), ("A", "fr_pud", "b"), ("B", "fro_srcmf", "c")):
        path = tmp_path / "udpos" / folder / f"{name}-ud-test.conllu"
        path.parent.mkdir(parents=True)
        path.write_text(word("1", form, "X", 0) + "\n\n", encoding="utf-8")
    source = FolderSource(tmp_path, nonstandard=True)
    assert tagged(source) == ["a/X", "b/X"]
    (tmp_path / "udpos" / "A").rename(tmp_path / "udpos" / "Y")
    assert FolderSource(tmp_path, nonstandard=True).key("udpos", "fr", "test") == source.key("udpos", "fr", "test")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([word("1", "a", "X", 0), "2\tb"], r"sentence at line 1: .*line 2: found 2 fields; expected 10"),
        ([word("1", "a", "X", 0), "", word("1", "a", "WORD", 0)], r"line 3: found the label 'WORD', expected one of"),
        (
            [word("1-2", "a", "_", "_"), word("1", "b", "X", 2), word("2", "c", "X", 1)],
            r"line 1: the heads of its words",
        ),
        ([word("1-2", "a", "_", "_"), word("1", "b", "X", 0)], r"line 1: the heads of its words"),
        ([word("1", "a", "X", 0), "\x80"], r"line 2 is no UTF-8|found 1 fields"),
    ],
)
def test_a_treebank_that_is_none(tmp_path: Path, lines: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        treebank(tmp_path, *lines).rows("udpos", "fr", "test")
    assert str(caught.value).startswith(str(tmp_path / "udpos" / "UD_Some" / "fr_gsd-ud-test.conllu"))
    assert "\n" not in str(caught.value)


def test_where_to_get_treebanks(tmp_path: Path) -> None:
    expected = r"\(en, train\).*get Universal Dependencies 2\.5 \(ud-treebanks.* into the folder udpos of data\.root"
    with pytest.raises(ConfigError, match=f"udpos {expected}, and type data.root=DIR, or export"):
        HubSource().rows("udpos", "en", "train")
    with pytest.raises(ConfigError, match=f"udpos {expected}, or type data.nonstandard=true"):
        FolderSource(tmp_path).rows("udpos", "en", "train")


def panx(root: Path, content: str) -> FolderSource:
    path = root / "wikiann" / "af" / "test"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return FolderSource(root, nonstandard=True)


def test_entities_as_their_publisher_has_them(tmp_path: Path) -> None:
    source = panx(tmp_path, "af:a:b\tB-LOC\naf:\xa0\tI-LOC\naf:c d\tO\n\n\naf:e\tO\n")
    assert source.rows("wikiann", "af", "test") == [
        {"tokens": ["a:b", "", "c d"], "ner_tags": [5, 6, 0]},
        {"tokens": ["e"], "ner_tags": [0]},
    ]
    rows = FolderSource(real_data()).rows("wikiann", "af", "test")
    lines = (real_data() / "wikiann" / "af" / "test").read_text(encoding="utf-8").split("\n")
    assert sum(len(row["tokens"]) for row in rows) == sum(line.startswith("af:") for line in lines) == 10808
    assert sum(tag == 1 for row in rows for tag in row["ner_tags"]) == sum(line.endswith("\tB-PER") for line in lines)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("af:b", "line 2: found 'af:b', expected language:token, tab, tag"), ("af:b\tB-MISC", "line 2: found the label")],
)
def test_entities_that_are_not_as_their_publisher_has_them(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        panx(tmp_path, f"af:a\tO\n{line}\n").rows("wikiann", "af", "test")


def test_tags_have_the_numbers_of_the_task_whatever_their_order_on_the_hub(tmp_path: Path) -> None:
    rows = FolderSource(real_data()).rows("wikiann", "af", "test")
    names = [*reversed(WIKIANN.labels)]
    columns = hub_datasets.ENTITIES | {"ner_tags": datasets.Sequence(datasets.ClassLabel(names=names))}
    layout = hub_datasets.LAYOUTS["wikiann"]._replace(columns=columns)
    numbered = [row | {"ner_tags": [6 - tag for tag in row["ner_tags"]]} for row in rows]
    hub_datasets.publish(tmp_path / "hub", "wikiann", "af", "test", numbered, layout)
    with HubStandin(tmp_path / "hub") as hub:
        (read_rows,) = read(hub.url, tmp_path / "home", ("wikiann", "af", "test"), nonstandard=False)
    assert read_rows == rows


def test_paraphrases_of_their_publisher() -> None:
    source = FolderSource(real_data())
    for split, paraphrases in (("validation", 853), ("test", 894)):
        rows = source.rows("pawsx", "zh", split)
        assert (len(rows), sum(row["label"] for row in rows)) == (2000, paraphrases)
    file = (real_data() / "pawsx" / "zh" / "test_2k.tsv").read_text(encoding="utf-8").split("\n")
    _, *texts, label = file[1].split("\t")
    assert rows[0] == {"sentence1": texts[0], "sentence2": texts[1], "label": int(label)}
    assert any('"' in row["sentence1"] for row in rows)  # quotation marks are text


# Sentences around every cut


@pytest.fixture(scope="module", params=list(KINDS))
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    """A small one of each type, of real text in several scripts."""
    source = FolderSource(real_data(), nonstandard=True)
    texts = [
        " ".join(row["tokens"]) for language in ("en", "el", "vi") for row in source.rows("udpos", language, "test")
    ]
    kind = KINDS[request.param]
    folder = kind.build(texts, tmp_path_factory.mktemp(request.param), size=1500)
    return kind.real.from_pretrained(folder)


def certain(feature: Feature, tags: Sequence[int], classes: int) -> tuple[np.ndarray]:
    """The output of a model that is sure of these tags."""
    return (np.eye(classes, dtype=np.float32)[list(tags)],)


@pytest.mark.filterwarnings("ignore:The sentencepiece tokenizer that you are converting:UserWarning")
@pytest.mark.parametrize("language", ["el", "vi"])
def test_words_in_are_words_out(tokenizer: PreTrainedTokenizerFast, language: str) -> None:
    """Around every cut: limits from 8 tokens on, real sentences, words without pieces and words that never fit."""
    rows = FolderSource(real_data(), nonstandard=True).rows("udpos", language, "test")[:40]
    strange = ["", "\u200b", "\xa0", "\ufeff", "λέξη" * 40, "a b"]
    rows = [{"tokens": [*strange, *row["tokens"]], "pos_tags": [0] * len(strange) + row["pos_tags"]} for row in rows]
    alone = {token: tokenizer(token, add_special_tokens=False)["input_ids"] for row in rows for token in row["tokens"]}
    assert not all(alone.values())
    before, behind = 1, 2 if isinstance(tokenizer, XLMRobertaTokenizerFast) else 1  # XTREME ends XLM-R's with two
    for limit in (8, 9, 10, 13, 21, 34, 128):
        task, room = declared.task("udpos", max_length=limit), limit - before - behind
        features = task.encode(rows, tokenizer, "en")
        for index, row in enumerate(rows):
            parts = [feature for feature in features if feature.example == index]
            assert [tag for part in parts for tag in part.labels] == row["pos_tags"]
            expected: list[list[int]] = []  # the rule, word by word
            firsts = []
            for token in row["tokens"]:
                ids = alone[token] if 0 < len(alone[token]) <= room else [tokenizer.unk_token_id]
                if not expected or len(expected[-1]) + len(ids) > room:
                    expected.append([])
                expected[-1] += ids
                firsts.append(ids[0])
            assert [part.inputs["input_ids"][before:-behind].tolist() for part in parts] == expected
            assert [part.inputs["input_ids"][at] for part in parts for at in task.asked(part)] == firsts
            for part in parts:
                assert part.inputs["input_ids"][0] == tokenizer.cls_token_id
                assert (part.inputs["input_ids"][-behind:] == tokenizer.sep_token_id).all()
                assert len(task.asked(part)) == len(part.labels)
        logits = [certain(feature, feature.labels, len(UDPOS.labels)) for feature in features]
        assert task.score(rows, features, logits, language, "udpos").metrics == {"f1": 100, "accuracy": 100}


@pytest.mark.filterwarnings("ignore:The sentencepiece tokenizer that you are converting:UserWarning")
def test_an_entity_over_a_cut_is_one(tokenizer: PreTrainedTokenizerFast) -> None:
    row = {"tokens": ["the", "house"] * 10, "ner_tags": [0, 0, 0, 1, *[2] * 12, 0, 0, 0, 0]}
    task = declared.task("wikiann", max_length=12)
    features = task.encode([row], tokenizer, "en")
    assert len(features) > 2
    right = [certain(feature, feature.labels, 7) for feature in features]
    assert task.score([row], features, right, "en", "wikiann").metrics["f1"] == 100
    # One word of it in the last part is wrong: there is one entity of another length, and not one for each part.
    position = next(n for n in reversed(range(len(features))) if 2 in features[n].labels)
    tags = list(features[position].labels)
    tags[tags.index(2)] = 0
    wrong = [*right[:position], certain(features[position], tags, 7), *right[position + 1 :]]
    scored = task.score([row], features, wrong, "en", "wikiann")
    assert scored.metrics["f1"] == 0
    assert scored.predictions[0]["label"][3:16] == ["B-PER", *["I-PER"] * 12]


def test_a_word_that_was_lost_is_told() -> None:
    row = {"tokens": ["a", "b"], "pos_tags": [0, 1]}
    feature = Feature(0, {"input_ids": np.zeros(3, np.int32)}, (0,))
    with pytest.raises(RunError, match=r"row 0 of udpos \(en\) has 2 words, and the model's output 1 tags for it"):
        UDPOS.score([row], [feature], [certain(feature, [0], 17)], "en", "udpos")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"tokens": ["a"], "pos_tags": [0, 1]}, "row 0 has 1 tokens and 2 pos_tags, expected as many"),
        ({"tokens": [], "pos_tags": []}, "row 0 has 0 tokens"),
        ({"tokens": ["a"], "pos_tags": [17]}, "row 0 has the tag 17, expected 0 to 16"),
        ({"tokens": "a", "pos_tags": [0]}, "tokens = 'a', expected list"),
    ],
)
def test_rows_without_words(row: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    tokenizer = KINDS["bert"].real.from_pretrained(tiny_tokenizers.wordpiece(["a b"], tmp_path))
    with pytest.raises(ConfigError, match=complaint):
        UDPOS.encode([row], tokenizer, "en")


# The head


def test_the_head_reads_the_first_pieces() -> None:
    head = TaggingHead(num_labels=4)
    torch.manual_seed(0)
    scores = torch.randn(2, 7, 4)
    output = TokenClassifierOutput(logits=scores)
    batch = {"words": torch.tensor([[0, 1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0, 0]])}
    (logits,) = head.logits(output, batch)
    assert torch.equal(logits[0], scores[0, [1, 3, 4]])
    assert torch.equal(logits[1, :1], scores[1, [2]])
    predictive = head.predictive(output, batch)
    assert predictive.counts.tolist() == [3, 1]
    by_hand = [scores[0, [1, 3, 4]].log_softmax(1)[[0, 1, 2], [3, 2, 0]].sum(), scores[1, 2].log_softmax(0)[1]]
    torch.testing.assert_close(predictive.nll(torch.tensor([[3, 2, 0], [1, 0, 0]])), -torch.stack(by_hand))


def test_labels_of_a_batch_are_as_wide_as_its_words() -> None:
    features = [
        Feature(0, {"input_ids": np.ones(4, np.int32), "words": np.array([0, 1, 1, 0], np.int32)}, (5, 6)),
        Feature(1, {"input_ids": np.ones(6, np.int32), "words": np.array([0, 1, 0, 0, 0, 0], np.int32)}, (3,)),
    ]
    batch = collate(features, pad_id=9)
    assert batch["labels"].tolist() == [[5, 6], [3, 0]]
    assert batch["words"].tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]


# From the command line; on real text in test_l2_runs.py


def test_without_treebanks_a_run_says_where_to_get_them(tmp_path: Path) -> None:
    typed = ["model=mbert", "adapter=full", "schedule=std", "task.max_length=24", "train.lr=0.001", "train.batch_size=16",
             "train.lr_schedule=linear", "train.updates=3", "train.eval_every=3", "device=cpu"]  # fmt: skip
    failed = Cli(tmp_path / "results")("task=udpos", *typed, status=2)
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert "udpos (en, train) is not on the hub: get Universal Dependencies 2.5" in line


# In miniature


@pytest.mark.parametrize(
    "typed",
    [
        "task=udpos adapter=full schedule=std",
        "task=udpos adapter=prompts schedule=std",  # no tag moves to a prompt
        "task=wikiann adapter=madx schedule=fun fisher=exact",  # each example has as many factors as words
        "task=paws adapter=full schedule=std",
        "task=wpr adapter=full schedule=std",  # several rows are of one query
    ],
)
def test_a_run_in_miniature(typed: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    short = [value for value in SHORT if "fun" in typed or not value.startswith(("fisher", "schedule"))]
    cli(*typed.split(), *short, "data_size=1k", "data_size.examples=64", "train.lr=0.003", "evaluate.languages=[en,l2]")
    (record,) = cli.records().values()
    (scores,) = record["evaluations"].values()
    assert scores.keys() == {"en", "l2"}
    if "fun" in typed:
        assert all(value > 0 for stage in record["stages"][1:] for value in stage["scores"].values())


def test_what_is_said_of_an_example() -> None:
    typed = ["schedule=std", "task.max_length=8", "train.lr=1", "train.updates=1", "n=40", "lang=l3"]
    seen = report(request(["task=wikiann", *typed]))
    facts, example = dict(seen.facts), next(each for each in seen.examples if "cut" in dict(each.facts))
    assert facts["cut"].endswith("sentences go on in a further example; no word is lost")
    assert not facts["cut"].startswith("0 ")
    words, cut = dict(example.facts)["words"].split(), dict(example.facts)["cut"]
    assert sum(map(int, cut.removeprefix("into parts of ").removesuffix(" words").split(", "))) == len(words)
    assert sum(token.asked for _, tokens in example.sequences for token in tokens) == len(words)
    assert any(word.endswith("/B-PER") or word.endswith("/B-ORG") for word in words)
