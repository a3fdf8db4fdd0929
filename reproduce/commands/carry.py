"""Commands that bring inputs and results from place to place: `preflight`, `prefetch`, `archive` and `merge`."""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fun.errors import ConfigError
from fun.results import file_checksum
from reproduce.carry import archive
from reproduce.carry.merge import Outcome, merge
from reproduce.carry.prefetch import prefetch
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.runs.store import configuration, results_of, with_producers

if TYPE_CHECKING:
    from reproduce.carry.preflight.checks import Check

WIDTH = 160
"""Of what preflight prints where the output is no terminal: ids are long."""

STYLES = {"ok": "green", "missing": "bold red", "differs": "bold yellow"}


def _preflight_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_results(parser)
    parser.add_argument("--json", action="store_true", help="print the same as one JSON object")


def _preflight(typed: argparse.Namespace, known: Targets) -> int:
    from reproduce.carry.preflight import checks as checking
    from reproduce.carry.preflight.hub import Hub
    from reproduce.carry.preflight.inputs import inputs_of

    target = options.target(typed, known)
    configs = [configuration(run.overrides) for run in target.needed()]
    if not configs:
        raise ConfigError(f"{target.name} is made from no runs: nothing is read for it")
    checks = checking.check(inputs_of(configs, options.root(typed)), Hub())
    counts = {result: sum(check.result == result for check in checks) for result in STYLES}
    if typed.json:
        print(
            json.dumps({"target": target.name, "checks": [one._asdict() for one in checks], "counts": counts}, indent=2)
        )
    else:
        _print(checks)
        print(f"{target.name}: {', '.join(f'{counts[result]} {result}' for result in STYLES)}")
    return 0 if counts["ok"] == len(checks) else 1


def _print(checks: Sequence["Check"]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "what", "id@revision", "expected", "found", "result"):
        table.add_column(name, overflow="fold")
    remedies: dict[str, list[str]] = defaultdict(list)
    for number, check in enumerate(checks, start=1):
        result = Text(check.result, style=STYLES[check.result])
        table.add_row(str(number), check.what, check.place, check.expected, check.found, result)
        if check.remedy:
            remedies[check.remedy].append(str(number))
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table)
    for remedy, numbers in remedies.items():
        # On a line by itself, and unwrapped: it may be a command to paste.
        console.print(Text(f"{', '.join(numbers)}:\n  {remedy}"), soft_wrap=True)


def _prefetch_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_targets(parser, known)


def _prefetch(typed: argparse.Namespace, known: Targets) -> int:
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    count = failed = 0
    for fetched in prefetch(with_producers(needed)):
        count += 1
        failed += bool(fetched.problem)
        print(f"{'failed' if fetched.problem else 'here'}: {fetched.key}", flush=True)
        if fetched.problem:
            print(f"    {' '.join(fetched.problem.split())}", flush=True)
    print(f"{count - failed} of {count} inputs from the hub are in its cache")
    if not failed:
        print("jobs with the same cache (HF_HOME) need no network: let them run with HF_HUB_OFFLINE=1")
    return 1 if failed else 0


def _archive_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    options.add_target(parser, known)
    options.add_results(parser)
    parser.add_argument("--weights", action="store_true", help="pack adapters and heads too")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: archives/TARGET.tar.gz in the results root")
    parser.add_argument(
        "--allow-marked", action="store_true", help="pack records marked synthetic or nonstandard: tests only"
    )


def _archive(typed: argparse.Namespace, known: Targets) -> int:
    target, root = options.target(typed, known), options.root(typed)
    out = typed.out or root / "archives" / f"{target.stem}.tar.gz"
    manifest = archive.pack(target, results_of(target.needed(), options.store(typed)), root, out, weights=typed.weights)
    if missing := manifest["missing"]:
        print(f"{len(missing)} of {len(target.needed())} runs are missing; the manifest lists them")
    print(f"wrote {out}: {len(manifest['files'])} files, {out.stat().st_size / 1e6:.1f} MB, {file_checksum(out)}")
    print("to rebuild from it alone:", *manifest["rebuild"], sep="\n")
    return 0


def _merge_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument("other", metavar="OTHER", type=Path, help="a results folder, for example of another cluster")
    options.add_results(parser)


def _merge(typed: argparse.Namespace, known: Targets) -> int:
    counts: Counter[Outcome] = Counter()
    for merged in merge(typed.other, options.root(typed)):
        counts[merged.outcome] += 1
        if merged.detail:
            print(f"{merged.outcome}: {merged.name}: {' '.join(merged.detail.split())}", flush=True)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    return 1 if counts[Outcome.DIFFERENT] or counts[Outcome.LEFT] else 0


COMMANDS = (
    Command(
        "preflight",
        "check on the hub what a target reads; download no weights",
        _preflight_arguments,
        _preflight,
    ),
    Command("prefetch", "download everything that targets need", _prefetch_arguments, _prefetch),
    Command("archive", "pack what a target is made from into one file", _archive_arguments, _archive),
    Command(
        "merge",
        "take over the finished runs and selections of another results folder",
        _merge_arguments,
        _merge,
    ),
)
