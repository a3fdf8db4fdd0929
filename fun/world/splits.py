"""The tasks' data: items of a split, and their rows in a language.

Items of a split are the same in all languages and share their ids. Test items are drawn first, then
validation, then training, and an item that was drawn before is drawn again: no split repeats another.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from fun.world import facts, tasks
from fun.world.draws import shuffled
from fun.world.grammar import Speaker
from fun.world.tasks import Item, Row

SPLITS = ("test", "validation", "train")  # in the order they are drawn
SOURCE = "en"  # the only language with training and validation data
LABELS = ("label", "answers", "pos_tags", "ner_tags")  # the columns that a model is to tell


class WorldTask(NamedTuple):
    """What a run calls its data set, what draws an item, and rows by split."""

    dataset: str
    draw: Callable[..., Item]
    sizes: dict[str, int]


TASKS = {
    "squad": WorldTask("microqa", tasks.squad, {"test": 300, "validation": 300, "train": 12000}),
    "mnli": WorldTask("micronli", tasks.mnli, {"test": 400, "validation": 400, "train": 12000}),
    "copa": WorldTask("microcopa", tasks.copa, {"test": 300, "validation": 100, "train": 400}),
    "udpos": WorldTask("micropos", tasks.udpos, {"test": 300, "validation": 300, "train": 4000}),
    "wikiann": WorldTask("microner", tasks.wikiann, {"test": 300, "validation": 300, "train": 4000}),
    "paws": WorldTask("micropaws", tasks.paws, {"test": 400, "validation": 400, "train": 12000}),
    "nc": WorldTask("micronc", tasks.nc, {"test": 400, "validation": 400, "train": 4000}),
    "qam": WorldTask("microqam", tasks.qam, {"test": 400, "validation": 400, "train": 8000}),
    "wpr": WorldTask("microwpr", tasks.wpr, {"test": 800, "validation": 800, "train": 8000}),
}
DATASETS = {task.dataset: name for name, task in TASKS.items()}


def content(rows: list[Row]) -> frozenset[str]:
    """What makes an item the same item: what all of its English rows say, in whatever order, but for labels."""
    said = [{str(text) for column, text in row.items() if column not in LABELS} for row in rows]
    return frozenset(set.intersection(*said))


def items(task: str, split: str, seed: int) -> list[tuple[Item, list[Row]]]:
    """The items of a split, with their English rows; those of the splits before it are drawn to avoid them."""
    draw, sizes = TASKS[task].draw, TASKS[task].sizes
    english, seen = Speaker(seed, SOURCE), set[frozenset[str]]()
    for name in SPLITS[: SPLITS.index(split) + 1]:
        if task == "copa":
            draw = partial(tasks.copa, split=name, world=facts.rules(seed))
        rng = random.Random(f"{task} {name} {seed}")
        drawn: list[tuple[Item, list[Row]]] = []
        missing = sizes[name]
        while missing:
            item = draw(rng, len(drawn))
            rows = item(english)
            said = content(rows)
            if said not in seen:
                seen.add(said)
                drawn.append((item, rows))
                missing -= len(rows)
    return shuffled(rng, drawn)


def generate(task: str, language: str, split: str, seed: int) -> list[Row]:
    """The rows of a split, with ids that are the same in every language."""
    speaker = Speaker(seed, language)
    drawn = items(task, split, seed)
    rows = [row for item, english in drawn for row in (english if language == SOURCE else item(speaker))]
    return [{"id": f"{task}-{split}-{number}", **row} for number, row in enumerate(rows)]
