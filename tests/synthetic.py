"""Made-up finished runs from which the tables come out as published. For tests and benches only: all are marked.

A paper prints means over runs, and stds of averages. For every configuration this draws values per run and
language that have exactly those: language means as printed, the average's mean and sample std as printed. Where
a paper prints no value, one is made up; where its numbers contradict each other, the languages win.
"""

import dataclasses
import json
import math
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fun.config import RunConfig
from fun.config.choices import active_fields
from fun.inputs import SEMANTICS, evaluation_keys, identity, run_folder
from fun.results import SCHEMA, Record, RunFolder, checksum
from reproduce.declare.papers import Paper
from reproduce.declare.parts import Needed, merged
from reproduce.declare.published import Number
from reproduce.declare.tables import LOWEST, Place, Table
from reproduce.runs.store import Done, configuration

Overrides = tuple[str, ...]
Metrics = dict[str, dict[str, dict[str, float]]]

ROUNDING = 0.0049
"""How far a mean may lie from its print, in points, and still be printed so (two decimals)."""

WRITERS = 16
"""Runs written side by side: the store waits for the disk most of the time."""

UNPRINTED_MEAN, UNPRINTED_STD = 50.0, 1.0

ENVIRONMENT = {"git_sha": "0" * 40, "git_dirty": False}


@dataclass
class Printed:
    """What a paper prints about one configuration's metric on one test set."""

    languages: dict[str, float] = field(default_factory=dict)
    average: float | None = None
    std: float | None = None


def measured(paper: Paper) -> dict[Overrides, Metrics]:
    """The metrics of every run that the paper's tables of results need, by its overrides."""
    tables = [target for target in paper.targets.values() if isinstance(target, Table) and target.published]
    printed = _printed(tables)
    metrics: dict[Overrides, Metrics] = defaultdict(dict)
    for runs, wanted in _configurations(tables).items():
        for (dataset, metric), languages in wanted.items():
            source, targets = languages[0], languages[1:]
            found = printed.get((runs, dataset, metric), Printed())
            means = {source: found.languages.get(source, UNPRINTED_MEAN), **_target_means(found, targets)}
            drawn = _draw(means, targets, found.std, len(runs), seed=len(metrics))
            for run, values in zip(runs, drawn, strict=True):
                for language, value in values.items():
                    metrics[run].setdefault(dataset, {}).setdefault(language, {})[metric] = value
    return metrics


def write(root: Path, metrics: Mapping[Overrides, Metrics], marks: Sequence[str] = ("synthetic",)) -> list[RunFolder]:
    """Write a finished run for each, through the real results store."""
    configurations = [configuration(overrides) for overrides in metrics]  # Hydra composes one at a time
    with ThreadPoolExecutor(WRITERS) as writers:
        return list(
            writers.map(lambda config, found: write_run(root, config, found, marks), configurations, metrics.values())
        )


def write_records(root: Path, metrics: Mapping[Overrides, Metrics], marks: Sequence[str] = ("synthetic",)) -> None:
    """A record for each, without the store's care for power cuts, which takes ten times as long."""
    for overrides, values in metrics.items():
        config = configuration(overrides)
        run = run_folder(config, root)
        own = {"schema": SCHEMA, "run_id": run.run_id, "attempt": 1, "files": {}}
        run.path.mkdir(parents=True)
        _overwrite(run.path, Record.sealed({**body(config, values, marks), **own}).to_json())


def write_run(root: Path, config: RunConfig, metrics: Metrics, marks: Sequence[str] = ("synthetic",)) -> RunFolder:
    """A finished run with these metrics, begun and finished as a real one."""
    run = run_folder(config, root)
    with run.begin() as attempt:
        attempt.finish(body(config, metrics, marks))
    return run


def body(config: RunConfig, metrics: Metrics, marks: Sequence[str] = ("synthetic",)) -> dict[str, Any]:
    """The body of a record, as `Attempt.finish` takes it."""
    named = identity(config)
    return {
        "semantics": SEMANTICS,
        "label": config.label,
        "identity": named,
        "config": config.active(),
        "inputs": named["inputs"],
        "kind": "training",
        "evaluations": evaluations(config, metrics),
        "validation": [{"update": 1, "metrics": {"accuracy": 50.0}}],
        "selected": {"update": 1, "metric": "accuracy", "value": 50.0},
        "stages": [{"update": 1, "open": list(range(config.model.layers)), "scores": {}, "trainable": 1}],
        "tracking": {
            "fisher_every": config.track.fisher_every,
            "fisher": active_fields(config.fisher),
        },
        "timing": {
            "train_seconds": 1.0,
            "fisher_seconds": 0.0,
            "evaluate_seconds": 1.0,
            "examples_per_second": 1.0,
        },
        "peak_memory_bytes": 1,
        "environment": ENVIRONMENT,
        "marks": list(marks),
    }


def evaluations(config: RunConfig, metrics: Metrics) -> dict[str, Any]:
    """These metrics, of what the configuration says now."""
    return {
        dataset: {
            language: {"keys": evaluation_keys(config, dataset, language), "metrics": dict(values)}
            for language, values in languages.items()
        }
        for dataset, languages in metrics.items()
    }


def resealed(record: Record, **changes: Any) -> Record:
    """The record with other content and a checksum that fits it. Raises InvalidRecord where that is no record."""
    content = {name: value for name, value in record.to_json().items() if name != "checksum"}
    return Record.sealed({**content, **changes})


# --- ways to spoil a finished run ---------------------------------------------------------------------------


def fail(needed: Needed, root: Path, error: Callable[[], BaseException], times: int = 1) -> RunFolder:
    """Let a run fail so, without training."""
    config = configuration(needed.overrides)
    folder = run_folder(config, root)

    def attempt() -> None:
        with folder.begin():
            raise error()

    for _ in range(times):
        with pytest.raises(type(error())):
            attempt()
    return folder


def remove(run: RunFolder) -> None:
    """As if it had never run."""
    shutil.rmtree(run.path)


def remove_language(run: RunFolder, dataset: str, language: str) -> None:
    """Not evaluated on a language."""
    record = run.record()
    kept = {name: value for name, value in record.evaluations[dataset].items() if name != language}
    _overwrite(run.path, resealed(record, evaluations={**record.evaluations, dataset: kept}).to_json())


def alter_a_byte(run: RunFolder) -> None:
    """A record that does not fit its checksum."""
    path = run.path / "record.json"
    path.write_text(path.read_text().replace('"label": "', '"label": "x', 1))


def copy_with_other_values(run: RunFolder) -> None:
    """The same run_id again, in a folder of another label, one point higher everywhere."""
    record = run.record()
    higher = record.model_copy(deep=True)
    for languages in higher.evaluations.values():
        for evaluation in languages.values():
            evaluation["metrics"] = {name: value + 1 for name, value in evaluation["metrics"].items()}
    path = run.path.with_name(f"copy-{run.run_id}")
    path.mkdir()
    _overwrite(path, resealed(higher).to_json())


def write_nan(run: RunFolder) -> None:
    """A metric that is not a number, as an editor might write it: the store itself refuses one."""
    fields = run.record().to_json()
    languages = next(iter(fields["evaluations"].values()))
    languages[next(iter(languages))]["metrics"] = {"accuracy": math.nan, "f1": math.nan, "em": math.nan}
    _overwrite(run.path, fields)


def make_older(run: RunFolder) -> None:
    """A record of an older schema, with a checksum that fits it."""
    content = {name: value for name, value in run.record().to_json().items() if name != "checksum"}
    content["schema"] = 0
    _overwrite(run.path, {**content, "checksum": checksum(content)})


def of_other_code(result: Done) -> Done:
    """A finished run as an earlier version of the code, with other semantics, would have left it."""
    environment = {**ENVIRONMENT, "git_sha": "f" * 40}
    record = result.record.model_copy(update={"semantics": SEMANTICS + 1, "environment": environment})
    return dataclasses.replace(result, record=record)


def _overwrite(folder: Path, fields: Mapping[str, Any]) -> None:
    (folder / "record.json").write_text(json.dumps(fields), encoding="utf-8")


# --- solving for what is printed ----------------------------------------------------------------------------


def _configurations(tables: Sequence[Table]) -> dict[tuple[Overrides, ...], dict[tuple[str, str], list[str]]]:
    """Runs of a configuration -> (dataset, metric) -> the languages needed of it, the source language first."""
    values = {run.overrides: run.values for run in merged(run for table in tables for run in table.needed())}
    found: dict[tuple[Overrides, ...], dict[tuple[str, str], list[str]]] = {}
    for target, place in _places(tables):
        behind = runs(target, place)
        wanted: dict[tuple[str, str], list[str]] = {}
        for dataset, _, metric in values[behind[0]]:
            wanted.setdefault((dataset, metric), list(target.paper.datasets[dataset].languages))
        found[behind] = wanted
    return found


def _places(tables: Sequence[Table]) -> Iterator[tuple[Table, Place]]:
    for target in tables:
        for place in target.places():
            yield target, place


def runs(target: Table, place: Place) -> tuple[Overrides, ...]:
    """The runs behind a number, each once: replicate by replicate."""
    return tuple(dict.fromkeys(run for replicate in target.sources(place) for run in replicate.values()))


def _printed(tables: Sequence[Table]) -> dict[tuple[tuple[Overrides, ...], str, str], Printed]:
    """Everything that is printed, by runs, dataset and metric. What two tables print alike counts once."""
    found: dict[tuple[tuple[Overrides, ...], str, str], Printed] = defaultdict(Printed)
    for target, place in _places(tables):
        number = target.number(place)
        if number is not None:
            _note(found[runs(target, place), place.dataset, place.metric], target, place, number)
    return found


def _note(printed: Printed, target: Table, place: Place, number: Number) -> None:
    mean, over, dataset = float(number.mean), target.over(place.column), target.datasets[place.dataset]
    if over.average:
        printed.average = mean
        printed.std = float(number.std) if number.std else printed.std
    elif over != LOWEST:
        printed.languages[over.printed(dataset)] = mean
    elif mean not in printed.languages.values():
        # A second table may name another language for the same number, and one that the dataset does not have.
        printed.languages[number.language if number.language in dataset.targets else dataset.targets[0]] = mean


def _target_means(printed: Printed, targets: Sequence[str]) -> dict[str, float]:
    """A mean for every target language: what is printed, within its rounding; what is not, to suit the average."""
    known = {language: mean for language, mean in printed.languages.items() if language in targets}
    unknown = [language for language in targets if language not in known]
    average = UNPRINTED_MEAN if printed.average is None else printed.average
    if unknown:
        rest = (average * len(targets) - sum(known.values())) / len(unknown)
        return known | dict.fromkeys(unknown, rest)
    shift = (average - statistics.fmean(known.values())) / 2 if printed.average is not None else 0.0
    return {language: mean + (shift if abs(shift) <= ROUNDING else 0.0) for language, mean in known.items()}


def _draw(
    means: Mapping[str, float], targets: Sequence[str], std: float | None, runs: int, seed: int
) -> list[dict[str, float]]:
    """Values per run and language with these means; their average over `targets` has this sample std over runs."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(runs, len(targets)))
    noise -= noise.mean(axis=0)
    common = noise.mean(axis=1, keepdims=True)
    wanted = UNPRINTED_STD if std is None else std
    noise += common * (wanted / common.std(ddof=1) - 1)
    other = random.normal(size=runs)
    other -= other.mean()
    drawn = []
    for run in range(runs):
        deviations = dict(zip(targets, noise[run], strict=True))
        drawn.append({language: mean + float(deviations.get(language, other[run])) for language, mean in means.items()})
    return drawn
