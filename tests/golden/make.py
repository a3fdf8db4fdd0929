"""Rebuild the golden test's records and expected files: `python tests/golden/make.py`, then read the diff.

The records are made up and small enough to check by hand. They are looked up by their overrides, not by the
real runs' ids, so that the golden table does not change with the miniature world's weights.
"""

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fun.results import MARKS, SCHEMA, Record, RunFolder, run_id_of
from reproduce.declare import papers
from reproduce.declare.parts import Needed
from reproduce.declare.tables import Table
from reproduce.runs.store import Absent, Done, examine, missing, results_of
from reproduce.show.latex import to_latex
from reproduce.show.text import WIDTH, to_csv, to_text
from reproduce.show.view import View, view

HERE = Path(__file__).parent
RECORDS = HERE / "records"
TARGET = papers.load(HERE).targets["golden"]
assert isinstance(TARGET, Table)
SHARED = ("model=micro", "task=squad", "adapter=madx", "data_size=full")

Values = Mapping[str, tuple[float, float]]  # language -> (F1, EM)

VALUES: dict[tuple[str, int], Values] = {
    # The lowest language is l3; the averages are 50 / 40 and 52 / 42.
    ("std", 0): {"en": (80, 70), "l1": (60, 50), "l2": (50, 40), "l3": (40, 30)},
    ("std", 1): {"en": (82, 71), "l1": (62, 52), "l2": (51, 41), "l3": (43, 33)},
    # l2 is absent from seed 1: no average there, and its other languages count.
    ("rand", 0): {"en": (81, 70), "l1": (61, 51), "l2": (52, 42), "l3": (41, 31)},
    ("rand", 1): {"en": (83, 72), "l1": (63, 53), "l3": (45, 35)},
    # gu and fun tie in F1 at the printed precision: 55.002 and 54.998.
    ("gu", 0): {"en": (79, 69), "l1": (65, 45), "l2": (55, 35), "l3": (45, 28)},
    ("gu", 1): {"en": (79, 69), "l1": (65, 45), "l2": (55, 36), "l3": (45.012, 30)},
    ("fun", 0): {"en": (78, 68), "l1": (64, 44), "l2": (56, 36), "l3": (45, 31)},
    ("fun", 1): {"en": (80, 70), "l1": (64, 45), "l2": (56, 38), "l3": (44.988, 34)},
}


@dataclass(frozen=True)
class Records:
    """The lookup of the golden test: the folder named after a run's overrides."""

    root: Path
    allow_marked: bool = False

    def __call__(self, needed: Needed) -> Done | Absent:
        run_id = run_id_of(identity(needed.overrides))
        run = RunFolder(self.root / folder_name(needed.overrides), run_id)
        return examine(run, needed, MARKS if self.allow_marked else ())


def identity(overrides: Sequence[str]) -> dict[str, Any]:
    """What names a golden record."""
    return {"semantics": 2, "overrides": list(overrides), "inputs": {"train": "golden"}}


def folder_name(overrides: Sequence[str]) -> str:
    schedule, seed = (override.partition("=")[2] for override in overrides[-2:])
    return f"{schedule}-{seed}-{run_id_of(identity(overrides))}"


def overrides(schedule: str, seed: int) -> tuple[str, ...]:
    return (*SHARED, f"schedule={schedule}", f"seed={seed}")


def metrics(values: Values) -> dict[str, dict[str, dict[str, float]]]:
    return {"microqa": {language: {"f1": f1, "em": em} for language, (f1, em) in values.items()}}


def content(named: Mapping[str, Any], measured: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A record's content without its checksum: `named` is its identity, `measured` its metrics."""
    return {
        "schema": SCHEMA,
        "run_id": run_id_of(named),
        "semantics": named["semantics"],
        "label": "golden",
        "identity": dict(named),
        "config": {},
        "inputs": named["inputs"],
        "kind": "training",
        "evaluations": evaluations(measured),
        "validation": [{"update": 100, "metrics": {"f1": 80.0}}],
        "selected": {"update": 100, "metric": "f1", "value": 80.0},
        "stages": [{"update": 1, "open": list(range(12)), "scores": {}, "trainable": 1000}],
        "tracking": {
            "fisher": {"name": "algorithm2", "batches": 10},
            "fisher_every": 10,
        },
        "timing": {
            "train_seconds": 1.0,
            "fisher_seconds": 0.0,
            "evaluate_seconds": 1.0,
            "examples_per_second": 100.0,
        },
        "peak_memory_bytes": 1,
        "environment": {"git_sha": "0123456789abcdef", "git_dirty": False},
        "marks": [],
        "attempt": 1,
        "files": {},
        **changes,
    }


def evaluations(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics by data set and language, as a record holds them."""
    return {
        dataset: {language: {"keys": {"rows": "golden"}, "metrics": values} for language, values in languages.items()}
        for dataset, languages in measured.items()
    }


def write_record(folder: Path, fields: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(Record.sealed(fields).to_json(), indent=1)
    (folder / "record.json").write_text(text + "\n", encoding="utf-8")


def write_records(root: Path) -> None:
    for (schedule, seed), values in VALUES.items():
        run = overrides(schedule, seed)
        version = {"git_sha": "0123456789abcdef", "git_dirty": (schedule, seed) == ("fun", 1)}
        fields = content(identity(run), metrics(values), environment=version)
        write_record(root / folder_name(run), fields)


def plain(table: View) -> str:
    """A table's text for a terminal, without colours and styles."""
    file = io.StringIO()
    Console(file=file, width=WIDTH, color_system=None, force_terminal=False).print(to_text(table))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def render(root: Path) -> dict[str, str]:
    """The expected files by name, from the records in `root`."""
    needed = TARGET.needed()
    results = results_of(needed, Records(root))
    table = view(TARGET, results)
    text = plain(table) + "".join(f"{line}\n" for line in missing(needed, results))
    return {"table.csv": to_csv(table), "table.tex": to_latex(table), "table.txt": text}


if __name__ == "__main__":
    if RECORDS.exists():
        shutil.rmtree(RECORDS)
    write_records(RECORDS)
    for name, text in render(RECORDS).items():
        (HERE / name).write_text(text, encoding="utf-8")
