"""Copies done runs of another results folder that are not in this one; what is here stays, and is compared."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fun.config import RunConfig
from fun.errors import ConfigError
from fun.inputs import identity, run_folder
from fun.results import AlreadyDone, Busy, Damaged, NotDone, Record, ResultsError, RunFolder, State, run_folders
from fun.results.record import WEIGHTS

Outcome = StrEnum("Outcome", ["COPIED", "SAME", "DIFFERENT", "LEFT", "OTHER"])
"""What became of one run of the other folder."""


class Merged(NamedTuple):
    """A run of the other folder, by its folder's name, and what became of it."""

    name: str
    outcome: Outcome
    detail: str


def merge(
    other: Path, root: Path, needed: Iterable[RunConfig] | None = None, *, weights: bool = True
) -> Iterator[Merged]:
    """Copy the done runs of the results folder `other` into `root`, one by one; with or without their `weights`.

    Of all runs, or of those that are `needed`. Each run is copied as an attempt of its own, record last: interrupted,
    it is copied again the next time; and where another process writes the same run, one of them does. Raises
    ConfigError where `other` is no results folder, and ResultsError where nothing more can be written.
    """
    if not (other / "runs").is_dir():
        raise ConfigError(f"{other} has no runs/: expected another results folder")
    if other.resolve() == root.resolve():
        raise ConfigError(f"{other} is the results folder that it was to be merged into: type another one")
    asked = {run_folder(config, root): identity(config) for config in needed or ()}
    wanted = {run.run_id for run in asked}
    # By the folder without what names the content: task, model and label are left.
    namesakes = {run.path.with_name(run.path.name.rpartition("-")[0]): own for run, own in asked.items()}
    paths, closed = run_folders(other)
    for reason in closed:
        yield Merged("runs", Outcome.LEFT, str(reason))
    for path in paths:
        theirs, place = RunFolder(path, path.name.rpartition("-")[2]), root / path.relative_to(other)
        try:
            if needed is None or theirs.run_id in wanted:
                ours = RunFolder(place, theirs.run_id).present()
                yield Merged(path.name, *_merge_run(theirs, ours, weights))
            else:
                namesake = namesakes.get(place.with_name(path.name.rpartition("-")[0]))
                yield Merged(path.name, Outcome.OTHER, _otherwise(theirs, namesake))
        except NotDone:
            if (status := theirs.status()).state is State.DAMAGED:  # what was finished is never passed over
                yield Merged(path.name, Outcome.LEFT, f"damaged there: {status.detail}")


def _otherwise(theirs: RunFolder, ours: Mapping[str, Any] | None) -> str:
    """What their run reads, and is set to, otherwise than the one here with its label has it (`identity`).

    Empty where there is none. Raises NotDone.
    """
    try:
        found = theirs.record().identity
    except Damaged as damage:
        return f"damaged there: {damage}"
    if ours is None:
        return ""
    told = (
        f"{name} is {found[part].get(name, 'none')}, here {ours[part].get(name, 'none')}"
        for part in ("inputs", "fields")
        for name in sorted(found[part].keys() | ours[part].keys())
        if found[part].get(name) != ours[part].get(name)
    )
    return re.sub(r"([0-9a-f]{12})[0-9a-f]{52}", r"\1…", "; ".join(told))


def _merge_run(theirs: RunFolder, ours: RunFolder, weights: bool) -> tuple[Outcome, str]:
    """Raises NotDone where their run is not. Weights that are not there were left out of an archive."""
    try:
        record = theirs.record(verify_files=True, without_weights=True)
    except Damaged as damage:
        return Outcome.LEFT, f"damaged there: {damage}"
    remedy = f"To take theirs: remove {ours.path}, and merge again"
    try:
        outcome, detail = _compared(record, ours.record(verify_files=True, without_weights=True))
        return outcome, f"{detail}. Ours stays. {remedy}" if detail else ""
    except Damaged as damage:
        return Outcome.LEFT, f"damaged here: {damage}. {remedy}"
    except NotDone:
        pass
    # By folders: an adapter without its weights, but with its description, would be half of one.
    left = set() if weights else {file.partition("/")[0] for file in record.files if file.endswith(WEIGHTS)}
    try:
        with ours.begin(retry=True) as attempt:  # a failure here is no reason to lose what was finished there
            for file in sorted(record.files):
                if (theirs.path / file).exists() and file.partition("/")[0] not in left:
                    attempt.publish(file, partial(shutil.copyfile, theirs.path / file))
            attempt.finish(record.body())
    except AlreadyDone:  # another process finished it between the look and the copy
        return _merge_run(theirs, ours, weights)
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
    tracked = {"fisher_every": "tr(F) along training", "tests_every": "test scores along training"}
    more += [what for field, what in tracked.items() if record.tracking.get(field) and not ours.tracking.get(field)]
    return (Outcome.LEFT, f"there also with {', '.join(more)}") if more else (Outcome.SAME, "")
