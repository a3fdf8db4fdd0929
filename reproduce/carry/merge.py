"""Copies the done runs of another results folder that are not in this one; overwrites nothing.

What is here already stays as it is, and is said to be the same or different. Two records of a run are the same where
identity, validation, stages, evaluations and predictions are.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from fun.errors import ConfigError
from fun.results import AlreadyDone, Busy, Damaged, NotDone, Record, ResultsError, RunFolder, run_folders


class Outcome(StrEnum):
    """What became of one run of the other folder."""

    COPIED = "copied"
    SAME = "same"
    DIFFERENT = "different"
    LEFT = "left"


@dataclass(frozen=True)
class Merged:
    """A run of the other folder, by its folder's name, and what became of it."""

    name: str
    outcome: Outcome
    detail: str = ""


def merge(other: Path, root: Path) -> Iterator[Merged]:
    """Copy the done runs of the results folder `other` into `root`, one by one.

    Each run is copied as an attempt of its own, record last: interrupted, it is copied again the next time; and where
    another process writes the same run, one of them does. Raises ConfigError where `other` is no results folder, and
    ResultsError where nothing more can be written.
    """
    if not (other / "runs").is_dir():
        raise ConfigError(f"{other} has no runs/: expected another results folder")
    if other.resolve() == root.resolve():
        raise ConfigError(f"{other} is the results folder that it was to be merged into: type another one")
    paths, closed = run_folders(other)
    for reason in closed:
        yield Merged("runs", Outcome.LEFT, str(reason))
    for path in paths:
        theirs = RunFolder(path, path.name.rpartition("-")[2])
        with suppress(NotDone):
            ours = RunFolder(root / path.relative_to(other), theirs.run_id).present()
            yield Merged(path.name, *_merge_run(theirs, ours))


def _read(run: RunFolder) -> Record:
    """The record, with every file as it lists it; an archive has left out the weights. Raises NotDone, Damaged."""
    return run.record(verify_files=True, without_weights=True)


def _merge_run(theirs: RunFolder, ours: RunFolder) -> tuple[Outcome, str]:
    """Raises NotDone where their run is not."""
    try:
        record = _read(theirs)
    except Damaged as damage:
        return Outcome.LEFT, f"damaged there: {damage}"
    remedy = f"To take theirs: remove {ours.path}, and merge again"
    try:
        outcome, detail = _compared(record, _read(ours))
        return outcome, detail and f"{detail}. Ours stays. {remedy}"
    except Damaged as damage:
        return Outcome.LEFT, f"damaged here: {damage}. {remedy}"
    except NotDone:
        pass
    try:
        with ours.begin(retry=True) as attempt:  # a failure here is no reason to lose what was finished there
            for file in sorted(record.files):
                if (theirs.path / file).exists():
                    attempt.publish(file, partial(shutil.copyfile, theirs.path / file))
            attempt.finish(record.body())
    except AlreadyDone:  # another process finished it between the look and the copy
        return _merge_run(theirs, ours)
    except (Busy, Damaged) as reason:
        return Outcome.LEFT, str(reason)
    except OSError as error:  # a full disk: nothing that follows would fare better
        name = theirs.path.name
        raise ResultsError(f"{name} could not be copied ({error}): the same command goes on from here") from error
    return Outcome.COPIED, ""


def _compared(record: Record, ours: Record) -> tuple[Outcome, str]:
    if differing := ours.differences(record):
        return Outcome.DIFFERENT, f"{', '.join(differing)} differ"
    more = [
        f"{dataset} in {language}"
        for dataset, languages in record.evaluations.items()
        for language, evaluation in languages.items()
        if (own := ours.evaluations.get(dataset, {}).get(language)) is None or own["keys"] != evaluation["keys"]
    ]
    if record.tracking["fisher_every"] and not ours.tracking["fisher_every"]:
        more.append("tr(F) along training")
    if record.tracking.get("tests_every") and not ours.tracking.get("tests_every"):
        more.append("test scores along training")
    return (Outcome.LEFT, f"there also with {', '.join(more)}") if more else (Outcome.SAME, "")
