"""What stands beside the scores of a row: its difference to a reference row, run by run, and what its runs cost."""

from collections.abc import Callable, Mapping, Sequence

from fun.results import Record
from reproduce.declare.tables import Place, Table
from reproduce.numbers.cells import Statistic, languages_at, read, statistic
from reproduce.runs.store import Results

MIB = 2**20

COSTS: Mapping[str, Callable[[Sequence[Record]], float]] = {
    "updates": lambda records: sum(record.validation[-1]["update"] for record in records),
    "seconds": lambda records: sum(r.timing["train_seconds"] + r.timing["fisher_seconds"] for r in records),
    "MiB": lambda records: max(record.peak_memory_bytes for record in records) / MIB,
    "parameters": lambda records: max(stage["trainable"] for record in records for stage in record.stages),
}
"""Of the runs of one replicate: updates and seconds of training (with tr(F)) of all, the largest peak of memory of a
process, and the most parameters that train at once."""


def difference(table: Table, results: Results, place: Place, reference: Place) -> Statistic:
    """Ours − the reference's, replicate by replicate, which have the same seed."""
    own, other = (statistic(table, results, at, languages_at(table, results, at)).values for at in (place, reference))
    together = zip(own, other, strict=True)
    return Statistic(tuple(None if a is None or b is None else a - b for a, b in together))


def costs(table: Table, results: Results, place: Place) -> dict[str, Statistic]:
    """What the runs behind a number cost, by `COSTS`; of a replicate with a run missing nothing is known."""
    replicates = [list(source.values()) for source in read(table, results, place)]
    known = [
        list({r.run_id: r for r in records if r is not None}.values()) if None not in records else []
        for records in replicates
    ]
    return {name: Statistic(tuple(cost(own) if own else None for own in known)) for name, cost in COSTS.items()}
