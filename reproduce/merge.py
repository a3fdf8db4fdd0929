"""Merges the runs of another results folder into this one. Nothing that is here is overwritten.

What two folders hold of one run is the same where configuration, metrics, unfreezing and predictions are. Where it
is not, the other run is copied beside this one, so that one run_id has two folders: `plan.Store` then counts neither,
and every table shows the run as damaged, until a person removes one.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from fun.errors import ConfigError
from fun.results import (
    AlreadyDone,
    Attempt,
    Busy,
    Damaged,
    FailedBefore,
    NotDone,
    Record,
    ResultsError,
    RunFolder,
    checksum,
)
from fun.results.record import PREDICTIONS


class Outcome(StrEnum):
    """What became of one run of the other folder."""

    COPIED = "copied"
    COMPLETED = "completed"
    SAME = "same"
    DIFFERENT = "different"
    LEFT = "left"


@dataclass(frozen=True)
class Merged:
    """A run of the other folder, by its place there, and what became of it."""

    name: str
    outcome: Outcome
    detail: str = ""


def merge(other: Path, root: Path) -> Iterator[Merged]:
    """Merge the done runs of the results folder `other` into `root`, one by one.

    Each is copied as an attempt of its own, record last: interrupted, it is copied again the next time; and where
    another process writes the same run, one of them does. Raises ConfigError where `other` is no results folder.
    """
    if not (other / "runs").is_dir():
        raise ConfigError(f"{other} has no runs/: expected another results folder")
    if other.resolve() == root.resolve():
        raise ConfigError(f"{other} is the results folder that it was to be merged into: type another one")
    here = _by_run_id(root)
    for theirs in (run for runs in _by_run_id(other).values() for run in runs):
        try:
            record = theirs.record(verify_files=True)
        except NotDone:
            continue
        except Damaged as damage:
            yield Merged(theirs.path.name, Outcome.LEFT, f"damaged there: {damage}")
            continue
        place = RunFolder(root / theirs.path.relative_to(other), theirs.run_id)
        beside = RunFolder(
            place.path.with_name(f"{record.label}-other-{_digest(record)}-{record.run_id}"), place.run_id
        )
        known = dict.fromkeys([*here.get(theirs.run_id, []), place, beside])
        yield _merge_run(theirs, record, known, place, beside)


def _by_run_id(root: Path) -> dict[str, list[RunFolder]]:
    found: dict[str, list[RunFolder]] = defaultdict(list)
    for path in sorted((root / "runs").glob("*/*/*-*")):
        run_id = path.name.rpartition("-")[2]
        found[run_id].append(RunFolder(path, run_id))
    return found


def _merge_run(
    theirs: RunFolder, record: Record, known: Iterable[RunFolder], place: RunFolder, beside: RunFolder
) -> Merged:
    """Into `place`, or `beside` it where one of the folders `known` here holds another outcome of the run."""
    name, differing = theirs.path.name, list[str]()
    try:
        for run in known:
            try:
                ours = run.record()
            except NotDone:
                continue
            differing = ours.differences(record)
            if not differing:
                return _complete(theirs, record, run, ours)
        _copy(theirs, record, beside if differing else place)
    except AlreadyDone:  # another process finished it between the look and the copy
        return _merge_run(theirs, record, known, place, beside)
    except (Busy, FailedBefore, Damaged) as reason:
        return Merged(name, Outcome.LEFT, str(reason))
    except OSError as error:  # a full disk: nothing that follows would fare better
        raise ResultsError(f"{name} could not be copied ({error}): the same command goes on from here") from error
    if not differing:
        return Merged(name, Outcome.COPIED)
    detail = f"{', '.join(differing)} differ from here. Both stay, the other as {beside.path.name}: remove one"
    return Merged(name, Outcome.DIFFERENT, detail)


def _digest(record: Record) -> str:
    """Eight digits that name an outcome: merging it again finds the folder where it lies already."""
    predictions = {name: digest for name, digest in record.files.items() if name.startswith(PREDICTIONS)}
    outcome = [record.identity, record.config, record.metrics, record.unfreezing, predictions]
    return checksum(outcome).removeprefix("sha256:")[:8]


def _copy(theirs: RunFolder, record: Record, run: RunFolder) -> None:
    with run.begin() as attempt:
        _publish(attempt, theirs, record.files)
        attempt.finish(record.body())


def _complete(theirs: RunFolder, record: Record, run: RunFolder, ours: Record) -> Merged:
    """Take over the languages that were evaluated there alone."""
    body = ours.body()
    more = [
        (dataset, language)
        for dataset, languages in record.metrics.items()
        for language in languages
        if language not in ours.metrics.get(dataset, {})
    ]
    if not more:
        return Merged(theirs.path.name, Outcome.SAME)
    for dataset, language in more:
        body["metrics"].setdefault(dataset, {})[language] = record.metrics[dataset][language]
    body["tracking"]["languages"] = {dataset: list(found) for dataset, found in body["metrics"].items()}
    body["environment"]["further_evaluation"] = record.environment
    with run.begin(extend=True) as attempt:
        _publish(attempt, theirs, record.files.keys() - ours.files.keys())
        attempt.finish(body)
    added = ", ".join(f"{dataset} in {language}" for dataset, language in more)
    return Merged(theirs.path.name, Outcome.COMPLETED, f"with {added}")


def _publish(attempt: Attempt, theirs: RunFolder, names: Iterable[str]) -> None:
    for name in sorted(names):
        attempt.publish(name, partial(shutil.copyfile, theirs.path / name))
