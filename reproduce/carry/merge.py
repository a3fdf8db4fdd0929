"""Merges the runs and selections of another results folder into this one. Nothing intact that is here is overwritten.

What two folders hold of one run is the same where configuration, metrics, unfreezing and predictions are. Where it
is not, the other run is copied beside this one, so that one run_id has two folders: `plan.Store` then counts neither,
and every table shows the run as damaged, until a person removes one. Merging again says so again. A file of a run
here that is gone or altered is replaced where the other folder holds the very file that was written here.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from fun.config.search import Selection
from fun.errors import ConfigError
from fun.results import (
    AlreadyDone,
    Attempt,
    Busy,
    Damaged,
    NotDone,
    Record,
    ResultsError,
    RunFolder,
    checksum,
)
from fun.results.attempt import METRICS_LOG
from fun.results.files import create_exclusive, file_checksum, make_folder, read_object
from fun.results.record import PREDICTIONS


class Outcome(StrEnum):
    """What became of one run, or selection, of the other folder."""

    COPIED = "copied"
    COMPLETED = "completed"
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
    """Merge the done runs of the results folder `other` into `root`, one by one, and then its selections.

    Each run is copied as an attempt of its own, record last: interrupted, it is copied again the next time; and where
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
        known = list(dict.fromkeys([*here.get(theirs.run_id, []), place, beside]))
        here[theirs.run_id] = known  # the other folder may itself hold two outcomes of this run
        yield _merge_run(theirs, record, known, place, beside)
    for selection in sorted((other / "selections").glob("*.json")):
        yield _merge_selection(selection, root)


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
    name = theirs.path.name
    try:
        ours = _records(known)
        differences = {run: found.differences(record) for run, found in ours.items()}
        differing = list(dict.fromkeys(what for found in differences.values() for what in found))
        target = next((run for run, found in differences.items() if not found), beside if differing else place)
        with _copying(name):
            if target in ours:
                merged = _complete(theirs, record, target, ours[target])
            else:
                _copy(theirs, record, target)
                merged = Merged(name, Outcome.COPIED)
    except AlreadyDone:  # another process finished it between the look and the copy
        return _merge_run(theirs, record, known, place, beside)
    except (Busy, Damaged) as reason:
        return Merged(name, Outcome.LEFT, str(reason))
    if not differing:
        return merged
    folders = ", ".join(run.path.name for run in dict.fromkeys([*ours, target]))
    detail = f"{', '.join(differing)} differ between {folders}. All stay: remove all but one"
    return Merged(name, Outcome.DIFFERENT, detail)


def _records(known: Iterable[RunFolder]) -> dict[RunFolder, Record]:
    """The records of those that are done. Raises Damaged."""
    found = {}
    for run in known:
        with suppress(NotDone):
            found[run] = run.record()
    return found


@contextmanager
def _copying(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a full disk: nothing that follows would fare better
        raise ResultsError(f"{name} could not be copied ({error}): the same command goes on from here") from error


def _digest(record: Record) -> str:
    """Eight digits that name an outcome: merging it again finds the folder where it lies already."""
    predictions = {name: digest for name, digest in record.files.items() if name.startswith(PREDICTIONS)}
    outcome = [record.identity, record.config, record.validation, record.metrics, record.unfreezing, predictions]
    return checksum(outcome).removeprefix("sha256:")[:8]


def _copy(theirs: RunFolder, record: Record, run: RunFolder) -> None:
    with run.begin(retry=True) as attempt:  # a failure here is no reason to lose what was finished there
        _publish(attempt, theirs, record.files)
        attempt.finish(record.body())


def _complete(theirs: RunFolder, record: Record, run: RunFolder, ours: Record) -> Merged:
    """Take over what was recorded there alone: languages, tr(F) along training, and files that were damaged here."""
    name, body = theirs.path.name, ours.body()
    added = _add_languages(body, record)
    files = {file for file in record.files.keys() - ours.files.keys() if file.startswith(PREDICTIONS)}
    tracked = bool(record.tracking["fisher_every"]) and _tracking(record) != _tracking(ours)
    obstacle = _obstacle(theirs, record, run, ours) if tracked else ""
    if tracked and not obstacle:
        body["tracking"] |= _tracking(record)
        body["environment"]["further_tracking"] = record.environment
        files.add(METRICS_LOG)
        added.append("tr(F) along training")
    damaged = _damaged_files(run, ours) - files
    if restored := {file for file in damaged if record.files.get(file) == ours.files[file]}:
        files |= restored
        added.append(f"the files that were damaged here: {', '.join(sorted(restored))}")
    if lost := damaged - restored:
        obstacle = "; ".join(filter(None, (obstacle, _lost(lost, run))))
    if added:
        with run.begin(extend=True) as attempt:
            _publish(attempt, theirs, files)
            attempt.finish(body)
    taken = f"with {', '.join(added)}" if added else ""
    outcome = Outcome.LEFT if obstacle else Outcome.COMPLETED if added else Outcome.SAME
    return Merged(name, outcome, "; ".join(filter(None, (taken, obstacle))))


def _add_languages(body: dict[str, Any], record: Record) -> list[str]:
    """Add to `body` the languages that were evaluated in `record` alone, and name them."""
    more = [
        (dataset, language)
        for dataset, languages in record.metrics.items()
        for language in languages
        if language not in body["metrics"].get(dataset, {})
    ]
    for dataset, language in more:
        body["metrics"].setdefault(dataset, {})[language] = record.metrics[dataset][language]
    if more:
        body["tracking"]["languages"] = {dataset: list(found) for dataset, found in body["metrics"].items()}
        body["environment"]["further_evaluation"] = record.environment
    return [f"{dataset} in {language}" for dataset, language in more]


def _tracking(record: Record) -> dict[str, Any]:
    """How tr(F) was tracked along training."""
    return {name: value for name, value in record.tracking.items() if name != "languages"}


def _obstacle(theirs: RunFolder, record: Record, run: RunFolder, ours: Record) -> str:
    """Why the tr(F) that was tracked there cannot be taken over; empty where it can.

    It can where the step log there is ours with the lines of tr(F) added: it is then tr(F) of this very training.
    """
    if ours.tracking["fisher_every"]:
        reason = "here it was tracked otherwise"
    elif METRICS_LOG not in record.files or _without_fisher(theirs) != _without_fisher(run):
        reason = "beyond it the step logs differ"
    else:
        return ""
    every = f"track.fisher_every={record.tracking['fisher_every']}"
    return (
        f"there with tr(F) along training ({every}), but {reason}. To train ours again for it: its command with {every}"
    )


def _without_fisher(run: RunFolder) -> list[dict[str, Any]]:
    return [line for line in run.metrics_log() if line["kind"] != "fisher"]


def _damaged_files(run: RunFolder, record: Record) -> set[str]:
    """The files that are gone, or not as its record lists them."""
    damaged = set()
    for name, expected in record.files.items():
        try:
            intact = file_checksum(run.path / name) == expected
        except OSError:
            intact = False
        if not intact:
            damaged.add(name)
    return damaged


def _lost(files: Iterable[str], run: RunFolder) -> str:
    """What to do about damaged files that the other folder does not hold as they were written here.

    Its own, of the same name, are of another training: weights of two trainings are no weights of either.
    """
    return (
        f"damaged here: {', '.join(sorted(files))}, which the other folder does not hold as written here. To take "
        f"theirs whole: remove {run.path}, and merge again; to run it anew: its command with force=true"
    )


def _publish(attempt: Attempt, theirs: RunFolder, names: Iterable[str]) -> None:
    for name in sorted(names):
        attempt.publish(name, partial(shutil.copyfile, theirs.path / name))


def _merge_selection(path: Path, root: Path) -> Merged:
    """Copied where there is none of the same runs here; ours stays where they differ."""
    name = f"{path.parent.name}/{path.name}"
    try:
        theirs = Selection.read(path, read_object(path).get("runs", {}))
        place = Selection.path(root, theirs.label, theirs.runs)
        with _copying(name):
            make_folder(place.parent)
            if create_exclusive(place, path.read_bytes()):
                return Merged(name, Outcome.COPIED)
        if Selection.read(place, theirs.runs) == theirs:
            return Merged(name, Outcome.SAME)
    except Damaged as damage:
        return Merged(name, Outcome.LEFT, f"{damage}: remove it, and merge again")
    detail = (
        f"{place} holds another selection from the same runs, and stays. To take theirs: remove it, and merge again"
    )
    return Merged(name, Outcome.DIFFERENT, detail)
