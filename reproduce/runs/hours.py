"""How long runs may take: as long as finished ones of the same shape did.

The shape: the same task, model, adapter, data size and marks, with a budget of the same unit.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from fun.config import RunConfig
from fun.inputs import evaluations
from fun.results import Damaged, NotDone, Record, RunFolder, Unreadable
from fun.results.files import names_in

Shape = tuple[Any, ...]


def by_shape(folder: Path) -> dict[Shape, list[Record]]:
    """The records of the runs in a folder."""
    records: dict[Shape, list[Record]] = defaultdict(list)
    with suppress(Unreadable):
        for name in sorted(names_in(folder)):
            with suppress(NotDone, Damaged):
                record = RunFolder(folder / name, name.rpartition("-")[2]).record()
                records[_shape(record.config, record.marks)].append(record)
    return records


def expected(config: RunConfig, finished: Mapping[Shape, Sequence[Record]]) -> float | None:
    """What a run may take from its beginning, in hours of one device; None where none of its shape is finished."""
    records = finished.get(_shape(config.active(), config.marks), [])
    tested = [record for record in records if _tests(record.evaluations) or record.kind == "artifact"]
    if not tested:
        return None
    training = fmean(
        (record.timing["train_seconds"] + record.timing["fisher_seconds"]) / _budget(record.config)
        for record in records
    )
    testing = fmean(record.timing["evaluate_seconds"] / max(1, _tests(record.evaluations)) for record in tested)
    return (training * _budget(config.active()) + testing * _tests(evaluations(config))) / 3600


def _shape(config: Mapping[str, Any], marks: Iterable[str]) -> Shape:
    names = tuple(config[section]["name"] for section in ("task", "model", "adapter"))
    return (*names, config.get("data_size", {}).get("examples"), "updates" in config.get("train", {}), *marks)


def _budget(config: Mapping[str, Any]) -> int:
    """In updates, or in epochs; of what makes none, in blocks."""
    train = config.get("train", config["task"])
    budget: int = next(train[unit] for unit in ("updates", "epochs", "blocks") if unit in train)
    return budget


def _tests(evaluations: Mapping[str, Collection[str]]) -> int:
    """How many test sets and languages those are."""
    return sum(map(len, evaluations.values()))
