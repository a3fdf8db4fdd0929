"""Data sets in the layouts that their publishers use on the hub, for the stand-in of tests/hub_standin.py.

`publish_world` fills a tree with the miniature world's rows under the real ids, configurations and columns;
`publish` writes any rows as one split. Cards name the configurations, as the publishers' do.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from datasets import ClassLabel, Dataset, Features, Sequence, Value, disable_progress_bars

from fun import world
from fun.data import facts
from tests.hub_standin import revision_folder

TEXT, NUMBER = Value("string"), Value("int32")
ANSWERS = Sequence({"text": TEXT, "answer_start": NUMBER})
QUESTION = {"id": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS}
TITLED_QUESTION = {"id": TEXT, "title": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS}
INFERENCE = {
    "premise": TEXT,
    "hypothesis": TEXT,
    "label": ClassLabel(names=["entailment", "neutral", "contradiction"]),
}
CHOICE = {"premise": TEXT, "choice1": TEXT, "choice2": TEXT, "question": TEXT}

ENTITIES = {
    "tokens": Sequence(TEXT),
    "ner_tags": Sequence(ClassLabel(names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"])),
    "langs": Sequence(TEXT),
}
PARAPHRASE = {"id": NUMBER, "sentence1": TEXT, "sentence2": TEXT, "label": ClassLabel(names=["0", "1"])}


class Layout(NamedTuple):
    """Where a data set's splits lie in its repository, and the columns of its parquet files."""

    task: str
    repo: str
    file: str
    columns: Mapping[str, Any]
    revision: str = "main"


# Written from the publishers' pages and not from conf/datasets, which the tests compare with them.
FILE = "{split}-00000-of-00001.parquet"
LAYOUTS = {
    "squad": Layout("squad", "rajpurkar/squad", f"plain_text/{FILE}", TITLED_QUESTION),
    "xquad": Layout("squad", "google/xquad", f"xquad.{{language}}/{FILE}", QUESTION),
    "mlqa": Layout("squad", "google/xtreme", f"MLQA.{{language}}.{{language}}/{FILE}", TITLED_QUESTION),
    "mnli": Layout("mnli", "facebook/xnli", f"{{language}}/{FILE}", INFERENCE),
    "xnli": Layout("mnli", "facebook/xnli", f"{{language}}/{FILE}", INFERENCE),
    "copa": Layout(
        "copa",
        "aps/super_glue",
        "copa/{split}/0000.parquet",
        CHOICE | {"idx": NUMBER, "label": ClassLabel(names=["choice1", "choice2"])},
        "refs/convert/parquet",
    ),
    "xcopa": Layout(
        "copa",
        "cambridgeltl/xcopa",
        f"{{language}}/{FILE}",
        CHOICE | {"label": NUMBER, "idx": NUMBER, "changed": Value("bool")},
    ),
    "wikiann": Layout("wikiann", "google/xtreme", f"PAN-X.{{language}}/{FILE}", ENTITIES),
    "pawsx": Layout("paws", "google-research-datasets/paws-x", f"{{language}}/{FILE}", PARAPHRASE),
}


def publish(
    root: Path,
    dataset: str,
    language: str,
    split: str,
    rows: Iterable[Mapping[str, Any]],
    layout: Layout | None = None,
) -> Path:
    """Write rows as one parquet file under the publisher's name of the split, with columns we do not read.

    `layout` replaces the data set's own. Call `write_cards` afterwards.
    """
    layout = layout or LAYOUTS[dataset]
    extra = {"title": "A title", "changed": False}
    table = [
        {column: row.get(column, index if column == "idx" else extra.get(column)) for column in layout.columns}
        for index, row in enumerate(rows)
    ]
    path = revision_folder(root, "datasets", layout.repo, layout.revision) / layout.file.format(
        language=language, split=split
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()
    Dataset.from_list(table, features=Features(layout.columns)).to_parquet(path)
    return path


def write_cards(root: Path) -> None:
    """The card of every repository, which lists its configurations; a conversion to parquet has none."""
    for layout in LAYOUTS.values():
        folder = revision_folder(root, "datasets", layout.repo, layout.revision)
        if layout.revision != "main" or not folder.is_dir():
            continue
        configurations = [
            {
                "config_name": path.name,
                "data_files": [
                    {"split": split, "path": f"{path.name}/{split}-*"}
                    for split in ("train", "validation", "test")
                    if any(path.glob(f"{split}-*"))
                ],
            }
            for path in sorted(folder.iterdir())
            if path.is_dir()
        ]
        card = yaml.safe_dump({"license": "other", "configs": configurations}, sort_keys=False)
        (folder / "README.md").write_text(f"---\n{card}---\n# {layout.repo}\n", encoding="utf-8")


def publish_world(root: Path, train: int = 64, validation: int = 24, test: int = 24) -> None:
    """All seven data sets in all languages of the paper, with so many of the miniature world's rows per split.

    English is English; the other languages are l1 to l7, again and again. More rows than the world has repeat.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    for dataset in ("squad", "mnli", "copa"):
        for split in ("train", "validation"):
            publish(root, dataset, "en", split, world_rows(LAYOUTS[dataset].task, "en", split, sizes[split]))
    for dataset in ("xquad", "mlqa", "xnli", "xcopa"):
        source, *targets = facts.facts(dataset).languages
        spoken = dict(zip([source, *targets], ["en", *islice(cycle(world.LANGUAGES[1:]), len(targets))], strict=True))
        for language, code in spoken.items():
            if dataset == "xcopa" and language == "en":
                continue
            rows = world_rows(LAYOUTS[dataset].task, code, "test", test)
            publish(root, dataset, language, "validation" if dataset == "xquad" else "test", rows)
    script = revision_folder(root, "datasets", "aps/super_glue")
    script.mkdir(parents=True, exist_ok=True)
    (script / "super_glue.py").write_text("# the loading script that nothing runs any more\n")
    write_cards(root)


@cache
def _world_split(task: str, language: str, split: str) -> list[dict[str, Any]]:
    return world.load_split(task, language, split)


def world_rows(task: str, language: str, split: str, count: int) -> list[dict[str, Any]]:
    """So many of the miniature world's rows, from the first on."""
    return list(islice(cycle(_world_split(task, language, split)), count))
