"""The numbers that claims are about: as the paper prints them, and as our runs have them."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fun.results import Record
from reproduce.declare.claims import Compared, Quantity, Scope, Statements
from reproduce.declare.papers import AVERAGE, LOWEST, SOURCE, Place
from reproduce.declare.parts import Dataset, Needed, merged, words
from reproduce.declare.published import PUBLISHED
from reproduce.numbers.cells import statistic
from reproduce.numbers.statistics import Summary
from reproduce.runs.store import Found, Results

Run = tuple[str, ...]
"""The overrides of a run."""


@dataclass(frozen=True)
class Value:
    """A number of the paper, or of a complete set of our runs, in percent.

    `values`, `settings` and `records`, one per run of ours, are empty for a printed number. `settings` is everything
    that a run reads but its schedule: runs that share it differ by nothing else.
    """

    summary: Summary
    values: tuple[float, ...] = ()
    settings: tuple[Mapping[str, Any], ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Lacking:
    """Why there is no number: the runs that it needs, or a reason that no run can change."""

    runs: tuple[Run, ...] = ()
    reason: str = ""


Lookup = Callable[[Quantity], Value | Lacking]


def published(statements: Statements) -> Lookup:
    """The printed numbers of the paper, from the first table that prints them; later ones must agree."""
    numbers: dict[tuple[str, ...], Summary] = {}
    for row in _printed(statements):
        key = (*(row[name] for name in ("model", "adapter", "method", "dataset", "data_size", "metric")), _where(row))
        summary = Summary(float(row["mean"]), float(row["std"]) if row["std"] else None, int(row["runs"]))
        known = numbers.setdefault(key, summary)
        if (known.mean, known.n) != (summary.mean, summary.n):
            raise ValueError(f"published numbers: two tables print {known} and {summary} for {key}")

    def look_up(quantity: Quantity) -> Value | Lacking:
        method = statements.methods[quantity.method]
        dataset = statements.datasets[quantity.dataset]
        where = dataset.source if quantity.where == SOURCE else quantity.where
        selected = (quantity.model, method.selected["adapter"], method.selected["method"])
        found = numbers.get((*selected, quantity.dataset, quantity.data_size, quantity.metric, where))
        if found is None:
            what = f"{method.label} with {statements.models[quantity.model]} on {dataset.label}"
            return Lacking(reason=f"the paper prints no number for {what}")
        return Value(found)

    return look_up


def measured(statements: Statements, results: Results) -> Lookup:
    """The numbers of our runs; `results` holds what was found for every run that `needed` names."""

    def look_up(quantity: Quantity) -> Value | Lacking:
        return _measured(statements, statements.datasets[quantity.dataset], results, quantity)

    return look_up


def needed(statements: Statements, scope: Scope) -> list[Needed]:
    """Every run that the claims with a meaning in a scope need, once, in their order."""
    quantities = [
        quantity
        for claim in statements.claims
        if isinstance(claim, Compared) and not statements.foreign(claim, scope)
        for case in statements.cases(claim, scope)
        for quantity in case.quantities
    ]
    deciding = [_deciding(statements, quantity) for quantity in quantities if quantity.where == LOWEST]
    return merged(
        Needed(
            run,
            tuple(
                (quantity.dataset, language, quantity.metric)
                for language in _needed_languages(statements.datasets[quantity.dataset], quantity)
            ),
        )
        for quantity in (*quantities, *deciding)
        for run in _runs(statements, statements.datasets[quantity.dataset], quantity)
    )


def _measured(statements: Statements, dataset: Dataset, results: Results, quantity: Quantity) -> Value | Lacking:
    if quantity.where == LOWEST:
        lowest = _lowest(statements, dataset, results, quantity)
        if isinstance(lowest, Quantity):
            return _measured(statements, dataset, results, lowest)
        own = _measured(statements, dataset, results, replace(quantity, where=AVERAGE))
        return Lacking((*lowest.runs, *(own.runs if isinstance(own, Lacking) else ())))
    languages = _languages(dataset, quantity)
    runs = _runs(statements, dataset, quantity)
    records = [_record(results[run]) for run in runs]
    place = Place(quantity.model, quantity.method, quantity.dataset, quantity.where, quantity.metric)
    found = statistic(records, place, languages)
    if not found.complete:
        return Lacking(tuple(run for run, number in zip(runs, found.values, strict=True) if number is None))
    done = tuple(record for record in records if record is not None)
    return Value(Summary.of(found.present), found.present, tuple(map(_settings, done)), done)


def _lowest(statements: Statements, dataset: Dataset, results: Results, quantity: Quantity) -> Quantity | Lacking:
    """The same number in the target language in which the standard row is lowest, by the main metric."""
    standard = replace(quantity, method=statements.lowest, metric=dataset.main_metric)
    languages = {
        language: _measured(statements, dataset, results, replace(standard, where=language))
        for language in dataset.targets
    }
    if lacking := [found for found in languages.values() if isinstance(found, Lacking)]:
        return Lacking(tuple(run for found in lacking for run in found.runs))
    means = {language: found.summary.mean for language, found in languages.items() if isinstance(found, Value)}
    return replace(quantity, where=min(means, key=means.__getitem__))


def _deciding(statements: Statements, quantity: Quantity) -> Quantity:
    """What names the lowest language."""
    metric = statements.datasets[quantity.dataset].main_metric
    return replace(quantity, method=statements.lowest, where=AVERAGE, metric=metric)


def _needed_languages(dataset: Dataset, quantity: Quantity) -> tuple[str, ...]:
    """What runs must be evaluated in; which language is lowest is known only afterwards."""
    return dataset.targets if quantity.where == LOWEST else _languages(dataset, quantity)


def _languages(dataset: Dataset, quantity: Quantity) -> tuple[str, ...]:
    return {SOURCE: (dataset.source,), AVERAGE: dataset.targets}.get(quantity.where, (quantity.where,))


def _runs(statements: Statements, dataset: Dataset, quantity: Quantity) -> list[Run]:
    method = statements.methods[quantity.method]
    chosen = f"adapter={method.adapter} data_size={quantity.data_size}"
    parts = (f"model={quantity.model}", dataset.overrides, chosen, f"schedule={method.schedule}")
    return [words(*parts, replicate) for replicate in statements.replicates]


def _record(result: object) -> Record | None:
    return result.record if isinstance(result, Found) else None


def _settings(record: Record) -> dict[str, Any]:
    # tr(F) is scored only where the schedule asks for it, so its fields are the schedule's.
    config = {name: part for name, part in record.config.items() if name not in ("schedule", "fisher")}
    return {"config": config, "inputs": record.inputs, "semantics": record.semantics}


def _printed(statements: Statements) -> list[dict[str, str]]:
    name = statements.declared.published
    if name is None:
        return []
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _where(row: Mapping[str, str]) -> str:
    language, _, _ = row["language"].partition(":")
    return AVERAGE if language == "avg" else language
