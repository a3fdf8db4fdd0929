"""How long the commands take, and how much memory, as the number of finished runs grows.

    python -m bench.store                          # 1,000 and 10,000 records
    python -m bench.store 1000 10000 100000        # most of the time goes into writing the records (TMPDIR says where)

Every record is made up (marked synthetic). All runs of the paper's tables are among them; the others differ from
these in the seed. Each command is a process of its own, as somebody would type it, with the disk's cache warm.
"""

import argparse
import dataclasses
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fun.inputs import run_folder
from fun.results import SCHEMA, Claim, Record
from fun.results.attempt import ATTEMPTS, RECORD
from fun.results.claim import AttemptFiles
from fun.results.files import pretty_json
from reproduce.declare import papers
from reproduce.runs.store import configuration
from tests import synthetic

FIRST_SEED = 1000
COMMANDS = {
    "plan": ("plan", "fun"),
    "status": ("status",),
    "status fun": ("status", "fun"),
    "tables": ("tables", "--allow-marked"),
}


@dataclass(frozen=True)
class Cost:
    """Of one command. `processor`: seconds of processor time, which other processes on the machine change less."""

    seconds: float
    processor: float
    mebibytes: float


def bodies(records: int) -> Iterator[tuple[Path, dict[str, object]]]:
    """Folder below the results root, and content, of so many runs; those of the paper's tables come first."""
    measured = list(synthetic.measured(papers.targets()["table1"].paper).items())
    for number in range(records):
        overrides, metrics = measured[number % len(measured)]
        config = configuration(overrides)
        if number >= len(measured):
            config = config.model_copy(update={"seed": FIRST_SEED + number})
        run = run_folder(config, Path())
        own = {"schema": SCHEMA, "run_id": run.run_id, "attempt": 1, "files": {}}
        yield run.path, {**own, **synthetic.body(config, metrics)}


def fill(root: Path, records: int) -> None:
    """Write so many finished runs; not through attempts, which would bring each to disk."""
    for folder, content in bodies(records):
        _write(root / folder, content)


def _write(folder: Path, content: dict[str, object]) -> None:
    attempts = folder / ATTEMPTS
    attempts.mkdir(parents=True, exist_ok=True)
    files = AttemptFiles(attempts, 1)
    files.claim.write_bytes(pretty_json(dataclasses.asdict(Claim.of_this_process("run"))))
    files.heartbeat.touch()
    files.end.write_bytes(pretty_json({"outcome": "done"}))
    (folder / RECORD).write_bytes(pretty_json(Record.sealed(content).to_json()))


def cost(arguments: tuple[str, ...], root: Path) -> Cost:
    """Run a command; its seconds and its peak memory."""
    environment = {**os.environ, "FUN_RESULTS": str(root), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "reproduce", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="*", type=int, default=[1000, 10_000])
    arguments = parser.parse_args()
    before: dict[str, Cost] = {}
    for records in sorted(arguments.records):
        with tempfile.TemporaryDirectory() as folder:
            # A child's peak memory begins with that of the process that started it: this one must stay small.
            writer = multiprocessing.get_context("fork").Process(target=fill, args=(Path(folder), records))
            writer.start()
            writer.join()
            for name, typed in COMMANDS.items():
                found = cost(typed, Path(folder))
                ratio = f"  {found.processor / before[name].processor:5.1f} x" if name in before else ""
                times = f"{found.seconds:7.1f} s, processor {found.processor:6.1f} s"
                print(f"{records:8,} {name:12} {times} {found.mebibytes:7.0f} MiB{ratio}", flush=True)
                before[name] = found


if __name__ == "__main__":
    main()
