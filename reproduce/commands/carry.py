"""Commands that bring inputs and results from place to place: `preflight`, `prefetch`, `archive` and `merge`."""

import argparse
import json
from collections import Counter
from pathlib import Path

from fun.errors import ConfigError
from fun.machine.hub import Hub
from fun.results import file_checksum
from reproduce.carry import archive as archives
from reproduce.carry import inputs
from reproduce.carry import merge as merging
from reproduce.commands import options
from reproduce.commands.options import Targets, command, flag, option
from reproduce.runs.store import configuration, results_of, with_producers


@command(
    "preflight",
    "check on the hub what a target reads; download no weights",
    *options.ONE,
    flag("--json", "print the same as one JSON object"),
)
def preflight(typed: argparse.Namespace, declared: Targets) -> int:
    target = options.target(typed, declared)
    configs = [configuration(run.overrides) for run in target.needed()]
    if not configs:
        raise ConfigError(f"{target.name} is made from no runs: nothing is read for it")
    checks = inputs.preflight(configs, options.root(typed), Hub())
    wrong = sum(not check.ok for check in checks)
    counts = {"ok": len(checks) - wrong, "wrong": wrong}
    if typed.json:
        print(json.dumps({"target": target.name, "checks": [c._asdict() for c in checks], "counts": counts}, indent=2))
    else:
        for check in sorted(checks, key=lambda check: not check.ok):
            print(f"{'ok' if check.ok else 'WRONG'}  {check.name}  {check.place}\n    {check.told}")
        print(f"{target.name}: {counts['ok']} ok, {wrong} wrong")
    return 1 if wrong else 0


@command("prefetch", "download everything that targets need", options.targets("+"), options.MODEL)
def prefetch(typed: argparse.Namespace, declared: Targets) -> int:
    needed = [run for runs in options.needed(typed, declared).values() for run in runs]
    here, by_hand = Counter[bool](), 0
    for place, problem in inputs.prefetch(configuration(run.overrides) for run in with_producers(needed)):
        if place.startswith("hub:"):
            here[not problem] += 1
            print(f"failed: {place}\n    {' '.join(problem.split())}" if problem else f"here: {place}", flush=True)
        else:
            by_hand += 1
            print(f"by hand: {problem}", flush=True)
    print(f"{here[True]} of {here.total()} inputs from the hub are in its cache")
    if here[False] or by_hand:
        return 1
    print("jobs with the same cache (HF_HOME) need no network: let them run with HF_HUB_OFFLINE=1")
    return 0


@command(
    "archive",
    "pack what a target is made from into one file",
    *options.ONE,
    flag("--weights", "pack adapters and heads too"),
    option("--out", type=Path, metavar="FILE", help="default: archives/TARGET.tar.gz in the results root"),
    options.MARKED,
)
def archive(typed: argparse.Namespace, declared: Targets) -> int:
    target, root = options.target(typed, declared), options.root(typed)
    out = typed.out or root / "archives" / f"{target.name}.tar.gz"
    if out.is_dir():
        raise ConfigError(f"found --out {out}, a folder; expected a file, such as {out / 'archive.tar.gz'}")
    results = results_of(target.needed(), options.store(typed))
    manifest = archives.pack(target, results, root, out, weights=typed.weights)
    if missing := manifest["missing"]:
        print(f"{len(missing)} of {len(results)} runs are missing; the manifest lists them")
    print(f"wrote {out}: {len(manifest['files'])} files, {out.stat().st_size / 1e6:.1f} MB, {file_checksum(out)}")
    print("to rebuild from it alone:", *manifest["rebuild"], sep="\n")
    return 0


@command(
    "merge",
    "take over the finished runs of another results folder",
    option("other", metavar="OTHER", type=Path, help="a results folder, for example of another cluster"),
    *options.OPTIONAL,
    flag("--without-weights", "leave adapters and heads where they are"),
)
def merge(typed: argparse.Namespace, declared: Targets) -> int:
    needed = with_producers(run for runs in options.needed(typed, declared).values() for run in runs)
    wanted = [configuration(run.overrides) for run in needed] if typed.targets else None
    counts, others = Counter[merging.Outcome](), Counter[str]()
    for merged in merging.merge(typed.other, options.root(typed), wanted, weights=not typed.without_weights):
        counts[merged.outcome] += 1
        if merged.outcome is merging.Outcome.OTHER:
            others[merged.detail] += 1
        elif merged.detail:
            print(f"{merged.outcome}: {merged.name}: {' '.join(merged.detail.split())}", flush=True)
    for detail, number in others.items():
        print(f"not of {' '.join(typed.targets)} as typed here: {number} runs{f': {detail}' if detail else ''}")
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in merging.Outcome))
    return 1 if counts[merging.Outcome.DIFFERENT] or counts[merging.Outcome.LEFT] else 0
