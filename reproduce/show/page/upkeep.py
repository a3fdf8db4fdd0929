"""What is missing and what to type for it, the compute spent, and which hyperparameter values are ours."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.config import ours
from fun.inputs.identity import flat
from fun.results import Record, RunFolder, State
from reproduce.declare.parts import Needed
from reproduce.numbers.cells import notes_on
from reproduce.numbers.explain import below
from reproduce.runs.plan import Entry
from reproduce.runs.store import Gap, Results, command, configuration, sweeps

PROCESSORS = ("x86_64", "amd64", "aarch64", "arm64")
"""What a machine without a GPU calls itself; any other device of a record is the name of a GPU."""

UNKNOWN = "unknown"


PRODUCERS = "language adapters, which other runs read: these first"


@dataclass(frozen=True)
class Reason:
    """Commands of missing runs, one each, that are missing for one reason; empty where they were never started."""

    text: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Lacking:
    """What has to be started: every run by its reason, and as sweeps what may be started unasked.

    `hours` is what runs of a measured shape may take on one device; for `unknown` of them nothing was measured.
    """

    count: int
    startable: int
    reasons: tuple[Reason, ...]
    sweeps: tuple[str, ...]
    hours: str
    unknown: int


def lacking(entries: Iterable[Entry], root: Path) -> Lacking:
    """The runs without what is needed of them, those first that others read. Paths are told from `root` on."""
    missing = [entry for entry in entries if entry.missing]
    read = {run for entry in missing for run in entry.producers}
    missing.sort(key=lambda entry: entry.run not in read)
    reasons: dict[str, list[str]] = {}
    for entry in missing:
        reasons.setdefault(below(root, _reason(entry, read)), []).append(entry.command)
    startable = [entry for entry in missing if not entry.option and entry.state is not State.DAMAGED]
    parts = ([entry for entry in startable if (entry.run in read) is first] for first in (True, False))
    known = [entry.hours for entry in missing if entry.hours is not None]
    return Lacking(
        count=len(missing),
        startable=len(startable),
        reasons=tuple(Reason(text, tuple(commands)) for text, commands in reasons.items()),
        sweeps=tuple(line for part in parts for line in sweeps(entry.needed.arguments for entry in part)),
        hours=f"{sum(known):,.1f}",
        unknown=len(missing) - len(known),
    )


def damaged(needed: Iterable[Needed], results: Results, root: Path) -> tuple[Reason, ...]:
    """The damaged runs of one target, each with what to type: a figure also reads what no table does."""
    gaps = ((run, results[run.overrides]) for run in needed)
    return tuple(
        Reason(
            below(root, " ".join(gap.reason.split())), (command((*run.arguments, gap.option)),) if gap.option else ()
        )
        for run, gap in gaps
        if isinstance(gap, Gap) and gap.state is State.DAMAGED
    )


def _reason(entry: Entry, read: Container[RunFolder]) -> str:
    reason = " ".join(entry.reason.split())
    if entry.state is State.MISSING:
        return PRODUCERS if entry.run in read else ""
    return f"{entry.state.value}{', but' if entry.state is State.DONE else ':'} {reason}"


@dataclass(frozen=True)
class Spent:
    """Hours that the runs of a device took; `unknown` where a record does not name its device."""

    device: str
    unit: str
    runs: int
    train: str
    fisher: str
    evaluate: str
    total: str
    memory: str


@dataclass(frozen=True)
class Compute:
    """The time in the records of done runs, by device; and which code made them."""

    spent: tuple[Spent, ...]
    notes: tuple[str, ...]


def compute(records: Mapping[str, Record]) -> Compute:
    """Sum up the records. What was interrupted, failed or not recorded is not in them: it is unknown."""
    devices: dict[str, list[Record]] = defaultdict(list)
    for record in records.values():
        devices[record.environment.get("device") or UNKNOWN].append(record)
    spent = tuple(_spent(device, devices[device]) for device in sorted(devices))
    return Compute(spent, notes_on(records.values()))


def _spent(device: str, records: Sequence[Record]) -> Spent:
    train, fisher, evaluate = (
        sum(record.timing[name] for record in records)
        for name in ("train_seconds", "fisher_seconds", "evaluate_seconds")
    )
    unit = UNKNOWN if device == UNKNOWN else "CPU-hours" if device.lower() in PROCESSORS else "GPU-hours"
    memory = max(record.peak_memory_bytes for record in records)
    return Spent(
        device=device,
        unit=unit,
        runs=len(records),
        train=_hours(train),
        fisher=_hours(fisher),
        evaluate=_hours(evaluate),
        total=_hours(train + fisher + evaluate),
        memory=f"{memory / 2**30:.2f} GiB",
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


@dataclass(frozen=True)
class OwnValue:
    """A hyperparameter's value that no source gives, why it is what it is, and which runs get it."""

    field: str
    value: str
    reason: str
    where: str


def own_values(entries: Iterable[Entry]) -> tuple[OwnValue, ...]:
    """Every value of our own among the runs' looked-up ones."""
    found: dict[tuple[str, str, str], dict[str, dict[str, None]]] = {}
    for overrides in dict.fromkeys(_unseeded(entry.needed.overrides) for entry in entries):
        config = configuration((*overrides, "seed=0"))
        values = flat(config.active())
        for field, reason in ours(config).items():
            where = found.setdefault((field, _text(values[field]), reason), {})
            for name, value in _choices(overrides).items():
                where.setdefault(name, {})[value] = None
    return tuple(
        OwnValue(field, value, reason, "; ".join(f"{name} {', '.join(values)}" for name, values in where.items()))
        for (field, value, reason), where in sorted(found.items())
    )


def _unseeded(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(override for override in overrides if not override.startswith("seed="))


def _choices(overrides: Sequence[str]) -> Mapping[str, str]:
    return {name: value for name, _, value in (override.partition("=") for override in sorted(overrides))}


def _text(value: object) -> str:
    """Numbers in their shortest spelling."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
