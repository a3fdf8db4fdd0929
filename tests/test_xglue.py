"""XGLUE: its publisher's files, good and bad, what its authors do with words and pages, and nine tasks from end to end."""

import hashlib
import json
import random
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import XLMRobertaTokenizerFast

from fun import metrics
from fun.config.checks import planned_updates
from fun.data import FolderSource, HubSource, facts, formats
from fun.errors import ConfigError
from fun.inputs import compose, run_id, source
from fun.inspect import request
from fun.inspect.report import report
from fun.machine.hub import Hub
from fun.paths import CONFIG_DIR
from fun.tasks.base import Feature
from reproduce.carry.inputs import preflight
from tests import declared, tiny_models, tiny_tokenizers
from tests.conftest import Cli, metrics_of, real_data

PACKED = "xglue_full_dataset"
POS, WPR = declared.task("pos"), declared.task("wpr")
WORDS = ["ship", "harbour", "of", "the", "old", "city", "who", "sells", "bread", "near", "what", "is", "a", "farm"]


# Files in the publisher's layout, of random words


def written(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def texts(draw: random.Random, *lengths: int) -> list[str]:
    return [" ".join(draw.choices(WORDS, k=length)) for length in lengths]


def fields(task: str, draw: random.Random, number: int) -> list[str]:
    """Of line `number`: a row of the task."""
    match task:
        case "nc":
            return [*texts(draw, 3, 20), declared.task("nc").labels[number % 10]]
        case "qam" | "pawsx":
            return [*texts(draw, 5, 9), str(number % 2)]
        case "qadsm":
            return [*texts(draw, 2, 3, 6), ("Bad", "Good")[number % 2]]
        case "wpr":
            return [f"{WORDS[number // 3]} of", *texts(draw, 3, 9), str(number % 5)]  # three pages a query
    return [*texts(draw, 9, 4), ("entailment", "neutral", "contradiction")[number % 3]]


def tagged(draw: random.Random, labels: Sequence[str], sentences: int) -> list[str]:
    return [
        line
        for _ in range(sentences)
        for line in (*(f"{draw.choice(WORDS)} {draw.choice(labels)}" for _ in range(draw.randint(3, 30))), "")
    ]


def questions(path: Path, draw: random.Random, count: int) -> None:
    paragraphs = []
    for number in range(count):
        context, asked = texts(draw, 40, 4)
        answer = {"text": context.split()[0], "answer_start": 0}
        paragraphs.append({"context": context, "qas": [{"id": str(number), "question": asked, "answers": [answer]}]})
    written(path, [json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]})])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All nine tasks in English and one more language each, 12 rows a file; what XGLUE lacks lies as elsewhere."""
    draw, folder = random.Random(0), tmp_path_factory.mktemp("xglue")
    below = folder / PACKED
    for split in ("train", "dev", "test"):
        for language in ("en", "de") if split != "train" else ("en",):
            for task in ("nc", "qam", "qadsm", "wpr"):
                lines = ["\t".join(fields(task, draw, number)) for number in range(12)]
                written(below / task.upper() / f"xglue.{task}.{language}.{split}", lines)
            pairs = [["id", "sentence1", "sentence2", "label"]]
            pairs += [[str(number), *fields("pawsx", draw, number)] for number in range(12)]
            name = "train.tsv" if split == "train" else f"{split}_2k.tsv"
            written(below / "PAWSX" / language / name, map("\t".join, pairs))
            for task in ("ner", "pos"):
                tags = declared.task(task).labels
                written(below / task.upper() / f"{language}.{split}", tagged(draw, tags, 12))
            inference = ["\t".join(fields("xnli", draw, number)) for number in range(12)]
            if split == "train":
                renamed = [line.replace("contradiction", "contradictory") for line in inference]
                written(below / "XNLI" / "multinli.train.en.tsv", ["premise\thypo\tlabel", *renamed])
                questions(below / "MLQA" / "squad1.1" / "train-v1.1.json", draw, 12)
                questions(folder / "squad" / "dev-v1.1.json", draw, 8)
            else:
                written(below / "XNLI" / f"{language}.{split}", inference)
                place = below / "MLQA" / "MLQA_V1" / split / f"{split}-context-{language}-question-{language}.json"
                questions(place, draw, 8)
    return folder


def test_label_spellings_and_columns(root: Path) -> None:
    source = FolderSource(root, nonstandard=True)
    assert [row["label"] for row in source.rows("mnli", "en", "train")] == [0, 1, 2] * 4
    row = source.rows("wpr_dev", "de", "test")[4]
    assert list(row) == ["query", "web_page_title", "web_page_snippet", "label"]
    assert row["label"] == 4
    assert source.rows("pawsx_dev", "de", "test") == source.rows("pawsx", "de", "validation")


# Files that are not as they should be, or only look so


@pytest.mark.parametrize(
    ("task", "content", "complaint"),
    [
        ("nc", "a\tb\tnews\nc\td\n", "line 2: .*found 2 fields; expected 3: news_title, news_body, label"),
        ("nc", "a\tb\tc\tnews\n", "line 1: .*found 4 fields; expected 3"),
        (
            "nc",
            "news_title\tnews_body\tnews_category\n",
            "line 1: .*found the label 'news_category', expected one of f",
        ),
        ("nc", "a\tb\tnews\n\nc\td\tnews\n", "line 2: .*found 1 fields; expected 3"),
        ("wpr", "a\tb\tc\t5\n", "line 1: .*found the label '5', expected one of 0, 1, 2, 3, 4"),
        ("ner", "a O\nb\n", "line 2: found 'b', expected a word, a blank, its label"),
        ("ner", "a O\n\nb NNP B O\n", "line 3: found 'b NNP B O', expected a word"),
        ("pos", "word label\n", "line 1: found the label 'label', expected one of ADJ"),
        ("pos", "a\xa0NOUN\n", r"line 1: found 'a\\xa0NOUN', expected a word, a blank"),
    ],
)
def test_a_bad_line_is_told_with_its_file(task: str, content: str, complaint: str, tmp_path: Path) -> None:
    name = f"{task.upper()}/" + (f"xglue.{task}.en.test" if task in ("nc", "wpr") else "en.test")
    path = tmp_path / PACKED / name
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint) as caught:
        FolderSource(tmp_path, nonstandard=True).rows(task, "en", "test")
    assert str(caught.value).startswith(f"{path}, ")
    assert "\n" not in str(caught.value)


def test_what_only_looks_bad_is_read(tmp_path: Path) -> None:
    news = tmp_path / PACKED / "NC" / "xglue.nc.en.test"
    news.parent.mkdir(parents=True)
    news.write_bytes('\tbody\u2028 of "two\r\nlines\tof it\tnews'.replace("lines", "a").encode())
    with pytest.raises(ConfigError, match="line 1"):  # the first line ends within the row
        FolderSource(tmp_path, nonstandard=True).rows("nc", "en", "test")
    news.write_bytes('\tbody\u2028 of "two\tnews\r\n" title\t\x85\tautos'.encode())
    assert FolderSource(tmp_path, nonstandard=True).rows("nc", "en", "test") == [
        {"news_title": "", "news_body": 'body\u2028 of "two', "label": 5},
        {"news_title": '" title', "news_body": "\x85", "label": 9},
    ]
    words = tmp_path / PACKED / "NER" / "de.test"
    words.parent.mkdir(parents=True)
    words.write_bytes("-DOCSTART- O\r\n\r\nDie O\r\n\u2028 O\r\n\r\n\r\nPaulo I-LOC".encode())
    assert FolderSource(tmp_path, nonstandard=True).rows("ner", "de", "test") == [
        {"tokens": ["Die", "\u2028"], "ner_tags": [0, 0]},
        {"tokens": ["Paulo"], "ner_tags": [6]},
    ]


def test_where_to_click_and_what_to_agree_to(tmp_path: Path) -> None:
    told = r"open https://microsoft\.github\.io/XGLUE, agree to its terms \(research only, not commercial\), get xglue_full"
    with pytest.raises(
        ConfigError,
        match=rf"^wpr_dev \(de, test\) is not on the hub: {told}.*, and type data\.root=DIR, or export FUN_DATA=DIR",
    ):
        HubSource().rows("wpr_dev", "de", "test")
    with pytest.raises(ConfigError, match=rf"^qam \(en, train\): found no file .*xglue\.qam\.en\.train; {told}"):
        FolderSource(tmp_path).rows("qam", "en", "train")
    with pytest.raises(ConfigError, match=r"Universal Dependencies 2\.5"):
        HubSource().rows("pos", "th", "test")


def test_what_the_hub_lacks_is_read_from_one_folder_by_every_command(
    root: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is the same run as with the folder typed; what the hub has stays the hub's."""
    typed = [*TYPED, STANDARD, "model=xlmr", f"model.source=folder:{encoder}", "evaluate.languages=[en,de]"]
    named, typed = compose(["task=qam", *typed, f"data.root={root}"]), ["task=qam", *typed]
    asked = ("qam", "en", "train")
    assert "is not on the hub" in str(source(compose(typed)).gap(*asked))
    monkeypatch.setenv("FUN_DATA", str(root))
    found = source(compose(typed))
    assert found.gap(*asked) is None
    assert found.rows(*asked) == source(named).rows(*asked)
    assert found.check(Hub(), *asked) == "12 rows"
    assert found.place(*asked).endswith("xglue.qam.en.train")
    assert run_id(compose(typed)) == run_id(named)
    assert found.key("mnli", "en", "train").startswith("hub:")
    assert "is not on the hub" in str(found.gap("qam", "fr", "test"))
    monkeypatch.setenv("FUN_DATA", f"{root}/nowhere")
    with pytest.raises(ConfigError, match=r"^FUN_DATA is .*nowhere', which is no folder"):
        compose(typed)


@pytest.fixture
def declarations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of conf/datasets that is read in its place; what is edited there counts behind `reread`."""
    shutil.copytree(CONFIG_DIR / "datasets", tmp_path / "conf" / "datasets")
    monkeypatch.setattr(facts, "CONFIG_DIR", tmp_path / "conf")
    yield tmp_path / "conf" / "datasets"
    reread()


def reread() -> None:
    for cached in (facts.facts, facts.located):
        cached.cache_clear()


def test_preflight_knows_the_publishers_archive_and_its_numbers_of_rows(
    root: Path, encoder: Path, declarations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README says it: the archive unpacked in FUN_DATA, where it may lie beside its files."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("FUN_DATA", str(folder))

    def told(nonstandard: str) -> dict[str, str]:
        typed = [*TYPED, STANDARD, "model=xlmr", f"model.source=folder:{encoder}", "evaluate.languages=[en,de]"]
        config = compose(["task=nc", *typed, f"data.nonstandard={nonstandard}"])
        checks = preflight([config], tmp_path / "results", Hub("http://127.0.0.1:9"))
        assert all(check.ok == (check.told in ("there", "12 rows")) for check in checks)
        return {check.name: check.told for check in checks if check.name != "encoder"}

    nothing = told("true")
    assert nothing.keys() == {
        *("nc.en.train", "nc.en.validation", "nc.en.test", "nc.de.test", "nc_dev.en.test", "nc_dev.de.test")
    }
    assert all("agree to its terms (research only, not commercial)" in line for line in nothing.values())
    archive = folder / f"{PACKED}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(root / PACKED, PACKED)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    expected = "e11016c02d8565d00119833a16679bbbe0fec437f5ad53c2d3f9eef6fa03f65b"
    wrong = f"{archive} has the sha256 {found}, expected {expected}: get the publisher's file again"
    assert all(line.startswith(wrong) and "\n" not in line for line in told("true").values())
    declared = declarations / "publishers" / "xglue.yaml"
    declared.write_text(declared.read_text(encoding="utf-8").replace(expected, found), encoding="utf-8")
    reread()
    assert {*told("true").values()} == {"12 rows"}
    counted = told("false")
    assert counted["nc.en.train"].startswith("nc (en, train): found 12 rows, expected 100,000")
    assert all("found 12 rows, expected 10" in line for line in counted.values())
    archive.write_bytes(archive.read_bytes()[:-1])
    assert all("has the sha256" in line for line in told("true").values())
    archive.unlink()  # the numbers of rows decide
    assert {*told("true").values()} == {"12 rows"}


def test_counts_of_xglue() -> None:
    source = HubSource()
    trained = {"nc": 100_000, "qam": 100_000, "qadsm": 100_000, "wpr": 99_997, "ner": 14_042, "pos": 25_377}
    assert source.expected_rows("pos_without_esl", "en", "train") == 12_543 + 3_753 + 3_176 + 1_781  # without ESL's
    for task, count in trained.items():
        assert source.expected_rows(task, "en", "train") == count
        assert source.test_sets(declared.task(task)).keys() == {task, f"{task}_dev"}
    sizes = {  # Liang et al. (2020) with the number of predictions that are published
        name: sum(source.expected_rows(name, language, "test") for language in facts.facts(name).languages)
        for name in ("wpr", "wpr_dev", "ner", "ner_dev", "pos", "pos_dev", "xnli_dev", "mlqa_dev", "pawsx_dev")
    }
    assert sizes == {
        **{"wpr": 70_042, "wpr_dev": 70_027, "ner": 13_186, "ner_dev": 10_944, "pos": 16_246, "pos_dev": 18_387},
        **{"xnli_dev": 15 * 2490, "mlqa_dev": 4199, "pawsx_dev": 8000},
    }


def test_updates_are_counted_where_no_sentence_goes_on() -> None:
    """As many in ten epochs of 32 sentences as in the specification."""
    typed = ["model=xlmr_large", "paper=graddrop", "adapter=full", STANDARD]
    counted = {task: planned_updates(compose([f"task={task}", *typed])) for task in ("ner", "pos", "nc")}
    assert counted == {"ner": (4390, 439, False), "pos": (7940, 794, False), "nc": (31250, 3125, False)}


# Parts of speech


@pytest.mark.parametrize(
    ("name", "treebank"), [("en.dev", "en_ewt-ud-dev"), ("vi.test", "vi_vtb-ud-test"), ("fr.test", "fr_gsd-ud-test")]
)
def test_parts_of_speech_from_the_treebanks(name: str, treebank: str) -> None:
    """Line by line what XGLUE's own files hold."""
    language, split = name.split(".")
    dataset = facts.facts("pos" if split == "test" else "pos_dev")
    (copy,) = (copy for copy in dataset.copies["test"] if language in (copy.languages or ()))
    assert copy.of(language).endswith(f"{treebank}.conllu")
    files = [(copy, f"udpos/treebanks/{treebank}.conllu"), (dataset.files["test"], f"xglue_pos/{name}")]
    rebuilt, own = (
        formats.read(real_data() / path, file, language, dataset.columns, dataset.labels) for file, path in files
    )
    assert len(own) == dataset.expected_rows(language, "test")
    assert rebuilt == own


def test_withheld_words_are_read_as_they_stand_or_left_out(root: Path, encoder: Path, tmp_path: Path) -> None:
    withheld = (real_data() / "xglue_pos" / "esl-excerpt.train").read_text(encoding="utf-8").splitlines()
    lines = ["a DET", "_ NOUN", "", *withheld]
    written(tmp_path / "tar" / PACKED / "POS" / "en.train", lines)
    pairs = [line.split() for line in lines]
    nodes = ["\t".join([str(n), pair[0], "_", pair[1], *"_" * 6]) if pair else "" for n, pair in enumerate(pairs)]
    written(tmp_path / "treebanks" / "udpos" / "en_ewt-ud-train.conllu", nodes)
    for folder in ("tar", "treebanks"):
        source = FolderSource(tmp_path / folder, nonstandard=True)
        rows = source.rows("pos", "en", "train")
        assert len(rows) == 1 + 30
        assert {token for row in rows[1:] for token in row["tokens"]} == {"_"}
        assert source.rows("pos_without_esl", "en", "train") == rows[:1] == [{"tokens": ["a", "_"], "pos_tags": [5, 7]}]
    typed = ["task=pos", *TYPED, STANDARD, "model=xlmr", f"model.source=folder:{encoder}", f"data.root={root}"]
    assert run_id(compose(typed)) != run_id(compose([*typed, "task.training_set=pos_without_esl"]))


def test_thai_is_the_start_of_one_treebank_for_both(tmp_path: Path) -> None:
    path = tmp_path / "udpos" / "UD_Thai-PUD" / "th_pud-ud-test.conllu"
    lines = (
        "\t".join([*line.split(), *"_" * 6])
        for line in ("1 ก _ NOUN", "1.1 ข _ X", "2-3 คง _ _", "2 ค _ DET", "3 ง _ ADP")
    )
    written(path, [*lines, ""] * 500)
    source = FolderSource(tmp_path)
    rows = source.rows("pos", "th", "test")
    assert rows == source.rows("pos_dev", "th", "test")
    assert rows == [{"tokens": ["ก", "ข", "ค", "ง"], "pos_tags": [7, 16, 5, 1]}] * 498


# Words that are cut off, and words without blanks


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaTokenizerFast:
    lines = [" ".join(WORDS), "ก ข คงก ขค กก", "กขคง"] * 3
    return XLMRobertaTokenizerFast.from_pretrained(tiny_tokenizers.xlmr(lines, tmp_path_factory.mktemp("xlmr"), 120))


def test_words_behind_the_last_token_count_as_wrong(tokenizer: XLMRobertaTokenizerFast) -> None:
    task = declared.task("pos", max_length=12)  # 9 pieces between <s> and </s></s>
    words = ["ship"] * 3 + ["harbour"] * 20
    pieces = [len(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]
    read = next(number for number in range(len(words)) if sum(pieces[: number + 1]) >= 9) + 1
    row = {"tokens": words, "pos_tags": [7] * 23}
    (feature,) = task.encode([row], tokenizer, "en")
    assert feature.length == 12
    assert feature.labels == (7,) * read
    assert feature.inputs["words"].sum() == read < 23
    (right,) = ((np.eye(17, dtype=np.float32)[[7] * read],) for _ in range(1))
    scored = task.score([row], [feature], [right], "en", "pos")
    assert scored.metrics["accuracy"] == pytest.approx(100 * read / 23)
    assert scored.metrics.keys() == {"f1", "accuracy", "precision"}
    assert scored.metrics["f1"] == 0  # one run of 23 is not one of `read`
    assert (
        dict(task.lost([row], [feature], tokenizer))["cut"]
        == f"1 of 1 (100.0 %) sentences lose words, {23 - read} in all"
    )


def test_thai_words_are_looked_up_without_their_blank(tokenizer: XLMRobertaTokenizerFast) -> None:
    row = {"tokens": ["กข", "ship"], "pos_tags": [0, 7]}
    (bare,), (set_off,) = (POS.encode([row], tokenizer, language) for language in ("th", "en"))
    thai, other = (tokenizer.convert_ids_to_tokens(each.inputs["input_ids"].tolist()) for each in (bare, set_off))
    assert "".join(thai[1:-2]) == "กขship"
    assert "".join(other[1:-2]) == "▁กข▁ship"
    assert tokenizer.unk_token_id not in bare.inputs["input_ids"][bare.inputs["words"] == 1][:1]
    assert [int(each.inputs["words"].sum()) for each in (bare, set_off)] == [2, 2]


# Pages of a query


def page(query: str, grade: int) -> dict[str, Any]:
    return {"query": query, "web_page_title": "", "web_page_snippet": "s", "label": grade}


def ranked(rows: list[dict[str, Any]], logits: Sequence[Sequence[float]]) -> Any:
    features = [Feature(index, {"input_ids": np.zeros(3, np.int32)}, (row["label"],)) for index, row in enumerate(rows)]
    return WPR.score(rows, features, [(np.array(each, np.float32),) for each in logits], "en", "wpr")


def test_pages_are_ranked_by_grade_and_by_expected_grade() -> None:
    rows = [page("a", 3), page("a", 2), page("a", 0), page("a", 1), page("b", 4), page("a", 0), page("a", 2)]
    sure = 20 * np.eye(5)
    logits = [sure[2], sure[2], sure[0], sure[0], sure[1], sure[1], sure[0]]
    scored = ranked(rows, logits)
    assert scored.metrics["ndcg"] == pytest.approx(
        100 * (0.953968 + 0.630930) / 2, abs=1e-4
    )  # b's one page is left out
    assert scored.metrics["accuracy"] == pytest.approx(200 / 7)
    assert list(scored.metrics) == ["ndcg", "ndcg_expected", "accuracy"]
    nearer = [sure[2] + [0, 0, 0, 19, 0], *logits[1:]]  # the same grade, a higher expectation: no tie any more
    assert ranked(rows, nearer).metrics["ndcg"] == pytest.approx(scored.metrics["ndcg"])
    assert ranked(rows, nearer).metrics["ndcg_expected"] > scored.metrics["ndcg_expected"]
    assert scored.predictions[4]["expected"] == pytest.approx(1, abs=1e-6)


def test_pages_that_nobody_can_rank() -> None:
    with pytest.raises(ConfigError, match=r"^wpr \(en, validation\): found 2 rows, in which no query has two pages"):
        WPR.check_scored([page("a", 1), page("b", 2)], "wpr (en, validation)")


def test_f1_is_of_two_classes() -> None:
    with pytest.raises(ConfigError, match=r"task\.beside=\[f1\] is of two classes, and task=nc has 10: leave it out"):
        request(["task=nc", "+task.beside=[f1]", "schedule=std", "train.lr=1", "train.updates=1"])


# From end to end

TYPED = (
    *("adapter=full", "data.nonstandard=true", "device=cpu", "task.max_length=32"),
    *("train.lr=0.001", "train.lr_schedule=linear", "train.batch_size=8", "train.updates=2", "train.eval_every=2"),
)
TASKS = {  # what is typed -> its test sets, and what is reported of them
    "task=mnli task.test_sets=[xnli15,xnli_dev]": ("xnli", {"accuracy"}),
    "task=nc": ("nc", {"accuracy"}),
    "task=qam": ("qam", {"accuracy"}),
    "task=qadsm": ("qadsm", {"accuracy"}),
    "task=paws task.test_sets=[pawsx4,pawsx_dev] task.beside=[f1]": ("pawsx", {"accuracy", "f1"}),
    "task=ner": ("ner", {"f1", "accuracy", "precision", "recall"}),
    "task=pos": ("pos", {"f1", "accuracy", "precision"}),
    "task=wpr train.eval_slots=256": ("wpr", {"ndcg", "ndcg_expected", "accuracy"}),
    "task=squad task.test_sets=[mlqa,mlqa_dev] task.doc_stride=4": ("mlqa", {"f1", "em", "f1_mlqa", "em_mlqa"}),
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.xlmr(tmp_path_factory.mktemp("encoder"), [" ".join(WORDS)] * 3)


STANDARD = "schedule=std"
METHODS = (f"{STANDARD} mask=graddrop", f"{STANDARD} mask=graddrop_epoch", "schedule=gradfreeze_topdown")
QUICK = {("nc", METHODS[0]), ("ner", METHODS[1]), ("wpr", METHODS[2])}


def cases() -> list[Any]:
    """Every task with every method; with others than standard fine-tuning one of each is enough but for long tests."""
    return [
        pytest.param(
            task,
            method,
            id=f"{dataset} {method}",
            marks=() if method == STANDARD or (dataset, method) in QUICK else pytest.mark.long,
        )
        for (task, (dataset, _)), method in product(TASKS.items(), (STANDARD, *METHODS))
    ]


@pytest.mark.parametrize(("task", "method"), cases())
def test_a_task_from_end_to_end(task: str, method: str, root: Path, encoder: Path, tmp_path: Path) -> None:
    dataset, reported = TASKS[task]
    cli = Cli(tmp_path)
    typed = [
        *task.split(),
        *method.split(),
        *TYPED,
        "model=xlmr",
        f"model.source=folder:{encoder}",
        f"data.root={root}",
    ]
    if (dataset, method) == ("pawsx", STANDARD):  # what is reported beside is no other run: it is evaluated again
        cli(*(each for each in typed if each != "task.beside=[f1]"))
        (plain,) = cli.records().values()
        assert {*metrics_of(plain)["pawsx"]["de"]} == {"accuracy"}
    cli(*typed)
    (record,) = cli.records().values()
    scores = metrics_of(record)
    assert scores.keys() == {dataset, f"{dataset}_dev"}
    for languages in scores.values():
        assert languages.keys() == {"en", "de"}
        assert all(values.keys() == reported for values in languages.values())
    assert record["selected"]["update"] == 2
    if dataset == "wpr":  # its queries were evaluated page by page, the shortest first
        (predicted,) = tmp_path.glob("runs/wpr/*/*/predictions/wpr.de.parquet")
        pages = pd.read_parquet(predicted)
        named = pages.rename(columns={"label": "grade"})[["query", "grade"]].to_dict("records")
        again = metrics.load("ndcg").compute(predictions=pages["prediction"].tolist(), references=named)
        assert again["ndcg"] == scores["wpr"]["de"]["ndcg"]
    seen = report(request([*typed, f"dataset={dataset}_dev", "lang=de", "n=1"]))
    assert dict(seen.facts)["data"].startswith(f"{dataset}_dev, lang=de")
