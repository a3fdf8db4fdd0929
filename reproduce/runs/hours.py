"""How long runs may take: as long as finished ones of the same shape did."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from fun.config import RunConfig
from fun.inputs import run_folder, test_sets
from fun.results import Damaged, NotDone, Record, RunFolder, Unreadable
from fun.results.files import names_in
from reproduce.runs.store import Store

SAMPLE = 20
"""So many finished runs of a shape are read to say how long one takes."""


class Hours:
    """Measured on runs of the same task, model, adapter and data size, with a budget of the same unit."""

    def __init__(self, store: Store) -> None:
        self.root = store.root
        self._measured: dict[tuple[Any, ...], tuple[float, float] | None] = {}

    def of(self, config: RunConfig) -> float | None:
        """What the run may take from its beginning, in hours of one device; None where none of its shape is done."""
        shape = _shape(config.active())
        if shape not in self._measured:
            self._measured[shape] = self._measure(config, shape)
        measured = self._measured[shape]
        if measured is None:
            return None
        training, testing = measured
        languages = config.evaluate.languages
        tests = sum(languages is None or name in languages for names in test_sets(config).values() for name in names)
        return (training * _budget(config.active()) + testing * tests) / 3600

    def _measure(self, config: RunConfig, shape: tuple[Any, ...]) -> tuple[float, float] | None:
        """Mean seconds per update or epoch, and per test set and language."""
        records = [record for record in self._records(config) if _shape(record.config) == shape]
        tested = [record for record in records if _tests(record)]
        if not tested:
            return None
        training = [_training_seconds(record) / _budget(record.config) for record in records]
        testing = [record.timing["evaluate_seconds"] / _tests(record) for record in tested]
        return statistics.fmean(training), statistics.fmean(testing)

    def _records(self, config: RunConfig) -> Iterator[Record]:
        """Records of about the same label, spread over all of them: reading every one would take long."""
        folder = run_folder(config, self.root).path
        try:
            names = names_in(folder.parent)
        except Unreadable:
            return
        alike = [folder.parent / name for name in sorted(names) if "-" in name and _kind(name) == _kind(folder.name)]
        step = -(-len(alike) // SAMPLE) or 1
        for path in alike[::step]:
            try:
                record = RunFolder(path, path.name.rpartition("-")[2]).record()
            except (NotDone, Damaged):
                continue
            if not record.marks:
                yield record


def _kind(folder: str) -> tuple[str, ...]:
    """Adapter and data size of a label (`RunConfig.label`); nothing for a language adapter's."""
    parts = folder.split("-")
    return (parts[0], parts[-3]) if len(parts) > 3 else ()


def _shape(config: Mapping[str, Any]) -> tuple[Any, ...]:
    names = tuple(config[section]["name"] for section in ("task", "model", "adapter"))
    return (*names, config.get("data_size", {}).get("examples"), "updates" in config["train"])


def _budget(config: Mapping[str, Any]) -> int:
    train = config["train"]
    budget: int = train["updates"] if "updates" in train else train["epochs"]
    return budget


def _tests(record: Record) -> int:
    """How many test sets and languages a run was tested in."""
    return sum(map(len, record.evaluations.values()))


def _training_seconds(record: Record) -> float:
    return record.timing["train_seconds"] + record.timing["fisher_seconds"]
