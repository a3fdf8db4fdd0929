"""Copies the done runs and the selections of another results folder that are not in this one; overwrites nothing.

What is here already stays as it is, and is said to be the same or different. Two records of a run are the same where
configuration, validation, stages, evaluations and predictions are.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from fun.errors import ConfigError
from fun.results import (
    AlreadyDone,
    Busy,
    Damaged,
    NotDone,
    Record,
    ResultsError,
    RunFolder,
    checksum,
    folders_of,
)
from fun.results.attempt import RECORD
from fun.results.files import create_exclusive, make_folder, read_object


class Outcome(StrEnum):
    """What became of one run, or selection, of the other folder."""

    COPIED = "copied"
    SAME = "same"
    DIFFERENT = "different"
    LEFT = "left"


@dataclass(frozen=True)
class Merged:
    """A run or selection of the other folder, by its place there, and what became of it."""

    name: str
    outcome: Outcome
    detail: str = ""


def merge(other: Path, root: Path) -> Iterator[Merged]:
    """Copy the done runs of the results folder `other` into `root`, one by one, and then its selections.

    Each run is copied as an attempt of its own, record last: interrupted, it is copied again the next time; and where
    another process writes the same run, one of them does. Raises ConfigError where `other` is no results folder, and
    ResultsError where nothing more can be written.
    """
    if not (other / "runs").is_dir():
        raise ConfigError(f"{other} has no runs/: expected another results folder")
    if other.resolve() == root.resolve():
        raise ConfigError(f"{other} is the results folder that it was to be merged into: type another one")
    for path in sorted((other / "runs").glob("*/*/*-*")):
        theirs = RunFolder(path, path.name.rpartition("-")[2])
        try:
            record = _read(theirs)
        except NotDone:
            continue
        except Damaged as damage:
            yield Merged(path.name, Outcome.LEFT, f"damaged there: {damage}")
            continue
        twins = [twin.name for twin in folders_of(other, theirs.run_id) if (twin / RECORD).exists()]
        if len(twins) > 1:
            yield Merged(path.name, Outcome.LEFT, f"there are several of this run: {', '.join(twins)}. Keep one")
        else:
            yield _merge_run(theirs, record, RunFolder(root / path.relative_to(other), theirs.run_id).present())
    for path in sorted((other / "selections").glob("*.json")):
        yield _merge_selection(path, root / "selections" / path.name)


def _read(run: RunFolder) -> Record:
    """The record, with every file as it lists it; an archive has left out the weights. Raises NotDone, Damaged."""
    return run.record(verify_files=True, without_weights=True)


def _merge_run(theirs: RunFolder, record: Record, ours: RunFolder) -> Merged:
    name = theirs.path.name
    try:
        return _compared(name, record, _read(ours), ours)
    except NotDone:
        pass
    except Damaged as damage:
        remedy = f"To take theirs: remove {ours.path}, and merge again"
        return Merged(name, Outcome.LEFT, f"damaged here: {damage}. {remedy}")
    try:
        with ours.begin(retry=True) as attempt:  # a failure here is no reason to lose what was finished there
            for file in sorted(record.files):
                if (theirs.path / file).exists():
                    attempt.publish(file, partial(shutil.copyfile, theirs.path / file))
            attempt.finish(record.body())
    except AlreadyDone:  # another process finished it between the look and the copy
        return _merge_run(theirs, record, ours)
    except (Busy, Damaged) as reason:
        return Merged(name, Outcome.LEFT, str(reason))
    except OSError as error:  # a full disk: nothing that follows would fare better
        raise ResultsError(f"{name} could not be copied ({error}): the same command goes on from here") from error
    return Merged(name, Outcome.COPIED)


def _compared(name: str, record: Record, own: Record, ours: RunFolder) -> Merged:
    remedy = f"Ours stays. To take theirs: remove {ours.path}, and merge again"
    if differing := own.differences(record):
        return Merged(name, Outcome.DIFFERENT, f"{', '.join(differing)} differ. {remedy}")
    more = [
        f"{dataset} in {language}"
        for dataset, languages in record.evaluations.items()
        for language, evaluation in languages.items()
        if (here := own.evaluations.get(dataset, {}).get(language)) is None or here["keys"] != evaluation["keys"]
    ]
    if record.tracking["fisher_every"] and not own.tracking["fisher_every"]:
        more.append("tr(F) along training")
    if more:
        return Merged(name, Outcome.LEFT, f"there also with {', '.join(more)}. {remedy}")
    return Merged(name, Outcome.SAME)


def _merge_selection(path: Path, place: Path) -> Merged:
    name = f"{path.parent.name}/{path.name}"
    try:
        theirs = read_object(path)
        if theirs.get("checksum") != checksum({field: theirs[field] for field in theirs if field != "checksum"}):
            return Merged(name, Outcome.LEFT, f"{path} is not as it was written")
        make_folder(place.parent)
        if create_exclusive(place, path.read_bytes()):
            return Merged(name, Outcome.COPIED)
        if read_object(place) == theirs:
            return Merged(name, Outcome.SAME)
    except Damaged as damage:
        return Merged(name, Outcome.LEFT, f"{damage}: remove it, and merge again")
    detail = f"{place} is another selection from the same runs, and stays. To take theirs: remove it, and merge again"
    return Merged(name, Outcome.DIFFERENT, detail)
