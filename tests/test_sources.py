"""Where rows come from: the facts, the hub by id through a stand-in, the publishers' files, and what is refused."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel

from fun.data import FolderSource, HubSource, Source, WorldSource, facts
from fun.data.corpora import FolderText, Sample
from fun.errors import ConfigError
from fun.paths import CONFIG_DIR
from tests import declared
from tests.conftest import ROOT
from tests.hub_datasets import LAYOUTS, publish, publish_world, world_rows, write_cards
from tests.hub_standin import HubStandin, revision_folder

# Rows on the hub's pages (k = thousand), MLQA's validation and test together.
XTREME = {"ar": 5.85, "de": 5.03, "en": 12.7, "es": 5.75, "hi": 5.43, "vi": 6.01, "zh": 5.64}


# Facts


def test_facts_are_those_of_the_paper() -> None:
    # Tables 8 to 10, English first; Table 5's numbers of rows.
    source = HubSource()
    assert source.test_sets(declared.task("squad")) == {
        "xquad": ("en", "ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        "mlqa": ("en", "ar", "de", "es", "hi", "vi", "zh"),
    }
    assert source.test_sets(declared.task("mnli")) == {
        "xnli": ("en", "ar", "de", "el", "es", "hi", "ru", "sw", "th", "tr", "vi", "zh")
    }
    assert source.test_sets(declared.task("copa")) == {
        "xcopa": ("en", "et", "ht", "it", "id", "qu", "sw", "zh", "ta", "th", "tr", "vi")
    }
    table5 = {"squad": (87599, 10570), "mnli": (392702, 2490), "copa": (400, 100)}
    for task, (train, validation) in table5.items():
        dataset = source.training_set(declared.task(task))
        assert source.expected_rows(dataset, "en", "train") == train
        assert source.expected_rows(dataset, "en", "validation") == validation
    assert {
        source.expected_rows("xquad", language, "test")
        for language in source.test_sets(declared.task("squad"))["xquad"]
    } == {1190}
    assert {
        source.expected_rows("xnli", language, "test") for language in source.test_sets(declared.task("mnli"))["xnli"]
    } == {5010}
    targets = source.test_sets(declared.task("copa"))["xcopa"][1:]
    assert {source.expected_rows("xcopa", language, "test") for language in targets} == {500}
    assert source.expected_rows("xcopa", "en", "test") == 100  # "En": COPA's validation items
    mlqa = [
        source.expected_rows("mlqa", language, "test")
        for language in source.test_sets(declared.task("squad"))["mlqa"][1:]
    ]
    assert (min(mlqa), max(mlqa)) == (4517, 5495)


@pytest.mark.parametrize("language", XTREME)
def test_mlqa_counts_fit_the_page_of_xtreme(language: str) -> None:
    rows = sum(HubSource().expected_rows("mlqa", language, split) for split in ("validation", "test"))
    assert rows / 1000 == pytest.approx(XTREME[language], abs=0.05 if rows >= 10_000 else 0.005)


def test_unknown_data_set_language_and_split() -> None:
    source = HubSource()
    with pytest.raises(ConfigError, match="'tydiqa' is unknown; expected one of copa, mlqa, mlqa_dev, mnli, nc"):
        source.rows("tydiqa", "en", "test")
    with pytest.raises(ConfigError, match="mlqa has no language 'th'; expected one of en, ar"):
        source.key("mlqa", "th", "test")
    with pytest.raises(ConfigError, match="xquad has no split 'train'; expected one of test"):
        source.expected_rows("xquad", "en", "train")


def test_world_knows_its_rows() -> None:
    source: Source = WorldSource()
    assert source.expected_rows("micronli", "en", "train") == 12000
    assert source.expected_rows("microcopa", "l7", "test") == 300


# The hub, by id

READ = """
import json, sys
from fun.errors import FunError
from fun.data import HubSource
answers = []
for nonstandard, split in json.load(sys.stdin):
    try:
        answers.append(HubSource(nonstandard).rows(*split))
    except FunError as error:
        answers.append(f"{type(error).__name__}: {error}")
json.dump(answers, sys.stdout)
"""


def read(url: str, home: Path, *splits: tuple[str, str, str], nonstandard: bool = True) -> list[Any]:
    """What HubSource answers in a process of its own: rows, or the type and text of an error."""
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps([(nonstandard, split) for split in splits]),
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_rows_by_id_then_from_the_cache_then_from_nowhere(tmp_path: Path) -> None:
    publish_world(tmp_path / "hub", train=40, validation=8, test=8)
    wanted = [
        ("squad", "en", "train"),
        ("xquad", "ar", "test"),
        ("mlqa", "zh", "test"),
        ("mnli", "en", "train"),
        ("xnli", "sw", "test"),
        ("copa", "en", "validation"),
        ("xcopa", "en", "test"),
        ("xcopa", "qu", "test"),
    ]
    with HubStandin(tmp_path / "hub") as hub:
        online = read(hub.url, tmp_path / "home", *wanted)
        asked = list(hub.requests)
    assert [len(rows) for rows in online] == [40, 8, 8, 40, 8, 8, 8, 8]
    for (dataset, *_), rows in zip(wanted, online, strict=True):
        assert set(rows[0]) == set(facts.facts(dataset).columns)
    expected = world_rows("mnli", "en", "train", 40)
    assert [row["label"] for row in online[3]] == [row["label"] for row in expected]
    assert [row["premise"] for row in online[3]] == [row["premise"] for row in expected]
    assert online[0][0]["answers"] == world_rows("squad", "en", "train", 1)[0]["answers"]
    assert online[5] == online[6]  # the paper's English of XCOPA
    # Only what was asked for: not the training part that each of XNLI's configurations has.
    assert not any("/sw/train" in path for path in asked)

    *offline, lacking = read(hub.url, tmp_path / "home", *wanted, ("xquad", "de", "test"))  # the server has stopped
    assert offline == online
    assert lacking.startswith("HubError: xquad (de, test): google/xquad@main is not in")
    (nowhere,) = read(hub.url, tmp_path / "empty", wanted[0])
    assert nowhere.startswith(
        "HubError: squad (en, train): rajpurkar/squad@main is not in the cache, and the hub cannot"
    )
    assert "the same cache (HF_HOME)" in nowhere
    assert nowhere.endswith("data.root=DIR")


def test_faults_of_the_hub_end_in_one_line(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    rows = world_rows("squad", "en", "test", 8)
    publish(root, "xquad", "en", "validation", rows).write_bytes(b"PAR1 cut off")
    publish(root, "xquad", "de", "validation", rows)
    renamed = LAYOUTS["xquad"]._replace(columns={"article": LAYOUTS["xquad"].columns["context"]})
    publish(root, "xquad", "ar", "validation", rows, layout=renamed)
    publish(root, "copa", "en", "train", world_rows("copa", "en", "train", 8))
    shutil.move(revision_folder(root, "datasets", "aps/super_glue", "refs/convert/parquet"), tmp_path / "gone")
    revision_folder(root, "datasets", "aps/super_glue").mkdir()
    write_cards(root)
    with HubStandin(root) as hub:
        corrupt, column, count, file, revision, repository = read(
            hub.url,
            tmp_path / "home",
            ("xquad", "en", "test"),
            ("xquad", "ar", "test"),
            ("xquad", "de", "test"),
            ("xquad", "th", "test"),
            ("copa", "en", "train"),
            ("mlqa", "en", "test"),
            nonstandard=False,
        )
    assert corrupt.startswith("HubError: xquad (en, test): google/xquad@main cannot be read")
    assert f"delete the folder {tmp_path}/home/hub/datasets--google--xquad" in corrupt
    assert column == (
        "ConfigError: xquad (ar, test): found the columns article; expected id, context, question, answers, and 'id' is "
        "not among them: the publisher may have renamed it, so name an older revision in conf/datasets"
    )
    assert count == (
        "ConfigError: xquad (de, test): found 8 rows, expected 1,190; to run on other data all the same, marked and in "
        "no paper table, type data.nonstandard=true"
    )
    assert file.startswith(
        "ConfigError: xquad (th, test): google/xquad@main has no xquad.th/validation-*.parquet, but "
    )
    assert revision.startswith("ConfigError: copa (en, train): aps/super_glue has no revision refs/convert/parquet")
    assert repository.startswith("ConfigError: mlqa (en, test): the hub has no repository google/xtreme")
    for line in (corrupt, column, count, file, revision, repository):
        assert "\n" not in line


# The publishers' files


def question_file(path: Path, *answers: str) -> Path:
    """A file in SQuAD's format."""
    context = "the cat sat on the mat"
    questions = [
        {"id": str(n), "question": "what ?", "answers": [{"text": text, "answer_start": context.index(text)}]}
        for n, text in enumerate(answers)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    article = {"title": "Cats", "paragraphs": [{"context": context, "qas": questions}]}
    path.write_text(json.dumps({"version": "1.1", "data": [article]}), encoding="utf-8")
    return path


def text_file(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_format_in_the_columns_of_the_hub(tmp_path: Path) -> None:
    question_file(tmp_path / "mlqa" / "test-context-de-question-de.json", "cat")
    text_file(tmp_path / "xnli" / "sw.test.tsv", "genre\tlabel\tsentence1_sw\tsentence2_sw", 'a\tneutral\tP "x\tH')
    text_file(
        tmp_path / "mnli" / "multinli_1.0_train.jsonl",
        json.dumps({"gold_label": "contradiction", "sentence1": "P\u2028Q", "sentence2": "H", "genre": "a"}),
    )
    text_file(
        tmp_path / "xcopa" / "test.et.jsonl",
        '{"premise": "P", "choice1": "A", "choice2": "B", "question": "cause", "label": 1, "idx": 0, "changed": true}',
    )
    source = FolderSource(tmp_path, nonstandard=True)
    assert source.rows("mlqa", "de", "test") == [
        {
            "id": "0",
            "context": "the cat sat on the mat",
            "question": "what ?",
            "answers": {"text": ["cat"], "answer_start": [4]},
        }
    ]
    assert source.rows("xnli", "sw", "test") == [{"premise": 'P "x', "hypothesis": "H", "label": 1}]
    assert source.rows("mnli", "en", "train") == [{"premise": "P\u2028Q", "hypothesis": "H", "label": 2}]
    assert source.rows("xcopa", "et", "test") == [
        {"premise": "P", "choice1": "A", "choice2": "B", "question": "cause", "label": 1}
    ]
    assert source.test_sets(declared.task("copa")) == {"xcopa": ("et",)}


def test_copa_is_split_as_superglue_splits_it(tmp_path: Path) -> None:
    items = (
        f'<item id="{n}" asks-for="effect" most-plausible-alternative="{1 + n % 2}"><p>{n}</p><a1>A</a1><a2>B</a2></item>'
        for n in range(1, 501)
    )
    text_file(tmp_path / "copa" / "copa-dev.xml", "<copa-corpus>", *items, "</copa-corpus>")
    source = FolderSource(tmp_path)
    train, validation = (source.rows("copa", "en", split) for split in ("train", "validation"))
    assert [len(train), len(validation)] == [400, 100]
    assert [train[0]["premise"], train[-1]["premise"], validation[0]["premise"]] == ["1", "400", "401"]
    assert train[0] == {"premise": "1", "choice1": "A", "choice2": "B", "question": "effect", "label": 1}
    assert source.rows("xcopa", "en", "test") == validation
    assert (
        source.key("xcopa", "en", "test") == source.key("copa", "en", "validation") != source.key("copa", "en", "train")
    )


def test_key_is_the_content_and_not_the_place(tmp_path: Path) -> None:
    for place, answer in (("one", "cat"), ("two", "cat"), ("three", "mat")):
        question_file(tmp_path / place / "xquad" / "xquad.en.json", answer)
    one, two, three = (FolderSource(tmp_path / place).key("xquad", "en", "test") for place in ("one", "two", "three"))
    assert one == two != three
    assert one.startswith("sha256:")


def test_counts_of_files_are_checked(tmp_path: Path) -> None:
    question_file(tmp_path / "xquad" / "xquad.en.json", "cat", "mat")
    with pytest.raises(ConfigError, match=r"^xquad \(en, test\): found 2 rows, expected 1,190; .*nonstandard=true$"):
        FolderSource(tmp_path).rows("xquad", "en", "test")
    assert len(FolderSource(tmp_path, nonstandard=True).rows("xquad", "en", "test")) == 2


def test_absent_files_are_a_gap_only_where_that_is_marked(tmp_path: Path) -> None:
    question_file(tmp_path / "xquad" / "xquad.en.json", "cat", "mat")
    strict, marked = FolderSource(tmp_path), FolderSource(tmp_path, nonstandard=True)
    assert strict.test_sets(declared.task("squad")) == HubSource().test_sets(declared.task("squad"))
    for ask in (strict.rows, strict.key):
        with pytest.raises(ConfigError, match=r"^squad \(en, train\): found no file .*squad/train-v1\.1\.json; put"):
            ask("squad", "en", "train")
    assert marked.test_sets(declared.task("squad")) == {"xquad": ("en",)}
    # A substitute, and its content is in the key.
    assert marked.rows("squad", "en", "train") == marked.rows("xquad", "en", "test")
    assert marked.key("squad", "en", "train") == marked.key("xquad", "en", "test")
    with pytest.raises(ConfigError, match=r"^xquad \(th, test\): found no file"):
        marked.rows("xquad", "th", "test")
    with pytest.raises(ConfigError, match=r"no test file of task=copa below .*; expected xcopa/test"):
        marked.test_sets(declared.task("copa"))


def test_what_sha256sum_prints_names_a_file_and_does_not_replace_it(tmp_path: Path) -> None:
    whole, hashes = tmp_path / "whole" / "copa", tmp_path / "hashes" / "copa"
    whole.mkdir(parents=True)
    hashes.mkdir(parents=True)
    (whole / "copa-dev.xml").write_text("<copa-corpus/>")
    printed = subprocess.run(["sha256sum", "copa-dev.xml"], cwd=whole, capture_output=True, text=True, check=True)
    (hashes / "copa-dev.xml.sha256").write_text(printed.stdout)
    sources = [FolderSource(folder.parent) for folder in (whole, hashes)]
    for split in ("train", "validation"):
        assert sources[0].key("copa", "en", split) == sources[1].key("copa", "en", split)
    with pytest.raises(ConfigError, match=r"copa-dev.xml.sha256 is the hash of a file that is not here"):
        sources[1].rows("copa", "en", "train")


def test_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.root is .*nowhere', which is no folder"):
        FolderSource(tmp_path / "nowhere")


TSV = "label\tsentence1_de\tsentence2_de\n"
ANSWER = '{"id": "q7", "question": "Q", "answers": [{"text": "a", "answer_start": 0}]}'
QUESTIONS = f'{{"data": [{{"paragraphs": [{{"context": "a", "qas": [{ANSWER}]}}]}}]}}'
JSON = '{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 0}\n'
ITEM = '<c><item id="7" asks-for="cause" most-plausible-alternative="1"><p>x</p><a1>y</a1></item></c>'

MALFORMED = [
    ("xnli/de", TSV + "neutral\ta\tb\nneutral\ta\tb\tc\n", "line 3: .*found 4 fields; expected 3"),
    ("xnli/de", TSV + "neutral\ta\n", "line 2: .*found 2 fields; expected 3"),
    ("xnli/de", TSV + "\nneutral\ta\tb\n", "line 2: .*found 1 fields; expected 3"),
    ("xnli/de", TSV + "maybe\ta\tb", "line 2: .*label 'maybe', expected one of entailment"),
    (
        "xnli/de",
        TSV.replace("_de", "_sw") + "neutral\ta\tb",
        "line 2: .*expected sentence1_de, sentence2_de, label; no sentence1_de",
    ),
    ("xnli/de", TSV + "neutral\ta\t\x80", "line 2 is no UTF-8"),
    ("xcopa/et", JSON + '{"premise": "a"}', "line 2: .*columns premise; expected premise, choice1.*no choice1"),
    ("xcopa/et", JSON + "\n" + JSON, "line 2: .*Expecting value"),
    ("xcopa/et", JSON + JSON.replace('"b"', r'"\ud83d"'), r"line 2: .*half of a surrogate pair, '.ud83d'"),
    ("xcopa/et", JSON + "\x80", "line 2 is no UTF-8"),
    ("xcopa/et", "[1]", r"line 1: .*found \[1\], expected an object"),
    ("xquad/en", '{"data": [', "Expecting value: line 1 column 11"),
    ("xquad/en", '{"rows": []}', "no 'data'"),
    ("xquad/en", QUESTIONS.replace('"text"', '"txt"'), "question q7: .*no 'text'"),
    ("xquad/en", QUESTIONS.replace('"Q"', r'"\udc00"'), "question q7: .*half of a surrogate pair"),
    ("xquad/en", "\n\n\x80", "line 3 is no UTF-8"),
    ("copa/en", "<copa-corpus><item>", "line 1"),
    ("copa/en", ITEM, "item 7: .*no a2"),
    ("copa/en", ITEM.replace('"1"', '"one"'), "item 7: .*(no a2|invalid literal)"),
]


@pytest.mark.parametrize(("split", "content", "complaint"), MALFORMED)
def test_files_that_are_not_the_publishers(tmp_path: Path, split: str, content: str, complaint: str) -> None:
    """In every format the file is named, and the line, question or item."""
    dataset, language = split.split("/")
    source = FolderSource(tmp_path, nonstandard=True)
    file = tmp_path / facts.facts(dataset).files["validation" if dataset == "copa" else "test"].path.format(
        language=language
    )
    file.parent.mkdir()
    file.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match=complaint) as caught:
        source.rows(dataset, language, "validation" if dataset == "copa" else "test")
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_the_end_of_a_line_is_no_part_of_it(tmp_path: Path) -> None:
    rows = []
    for number, text in enumerate((TSV + "neutral\ta\tb\n", TSV + "neutral\ta\tb", (TSV + "neutral\ta\tb\n"))):
        file = tmp_path / str(number) / "xnli" / "de.test.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(text, newline="\r\n" if number == 2 else "\n")
        rows.append(FolderSource(tmp_path / str(number), nonstandard=True).rows("xnli", "de", "test"))
    assert rows == 3 * [[{"premise": "a", "hypothesis": "b", "label": 1}]]


def test_a_path_is_no_pattern(tmp_path: Path) -> None:
    """Neither that of the cache, read by the hub's own client, nor data.root."""
    strange = "a [b-c] *~ é{language}"
    publish(tmp_path / "hub", "xquad", "th", "validation", rows := world_rows("squad", "en", "test", 1190))
    with HubStandin(tmp_path / "hub") as hub:
        (read_rows,) = read(hub.url, tmp_path / strange, ("xquad", "th", "test"))
    assert [row["context"] for row in read_rows] == [row["context"] for row in rows]
    question_file(tmp_path / strange / "xquad" / "xquad.en.json", "cat")
    source = FolderSource(tmp_path / strange, nonstandard=True)
    assert len(source.rows("xquad", "en", "test")) == 1
    text_file(tmp_path / strange / "th" / "[1].txt", "one", "two")
    assert FolderText(tmp_path / strange, Sample(0, 0)).documents("th") == ["one", "two"]


def test_labels_have_the_numbers_of_the_task_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    pairs = world_rows("mnli", "en", "test", 5010)
    for language, names in {
        "de": ["entailment", "neutral", "contradiction"],
        "sw": ["contradiction", "neutral", "entailment"],
        "th": ["yes", "maybe", "no"],
    }.items():
        columns = LAYOUTS["xnli"].columns | {"label": ClassLabel(names=names)}
        numbered = [row | {"label": 2 - row["label"] if language == "sw" else row["label"]} for row in pairs]
        publish(tmp_path / "hub", "xnli", language, "test", numbered, LAYOUTS["xnli"]._replace(columns=columns))
    splits = [("xnli", language, "test") for language in ("de", "sw", "th")]
    with HubStandin(tmp_path / "hub") as hub:
        same, reversed_order, unknown = read(hub.url, tmp_path / "home", *splits)
    assert [row["label"] for row in same] == [row["label"] for row in reversed_order] == [row["label"] for row in pairs]
    assert unknown.startswith("ConfigError: xnli (th, test): found the labels yes, maybe, no, expected entailment,")


def test_a_data_set_declared_again_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other languages, the same records: one more file, and no second name."""
    shutil.copytree(CONFIG_DIR / "datasets", tmp_path / "datasets")
    text_file(tmp_path / "datasets" / "xnli_fr.yaml", "of: xnli", "languages: [en, fr]")
    monkeypatch.setattr(facts, "CONFIG_DIR", tmp_path)
    for cached in (facts.facts, facts.located):
        cached.cache_clear()
    task = dataclasses.replace(declared.task("mnli"), test_sets=("xnli", "xnli_fr"))
    tested = HubSource().test_sets(task)
    assert list(tested) == ["xnli"]
    assert tested["xnli"][-2:] == ("zh", "fr")
    assert HubSource().key("xnli", "fr", "test") == "hub:facebook/xnli@main/fr/test-*.parquet"
    with pytest.raises(ConfigError, match=r"xnli has no language 'ja'; expected one of en, ar, .*zh, bg, fr, ur$"):
        HubSource().key("xnli", "ja", "test")
    for cached in (facts.facts, facts.located):
        cached.cache_clear()
