"""`python -m reproduce submit TARGET…`: submit what targets lack, and return at once."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from fun.errors import ConfigError
from fun.results import JobKnown
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.declare.parts import Needed
from reproduce.runs.store import Store
from reproduce.start.jobs import asking
from reproduce.start.selection import FAILURES, Selection, select

if TYPE_CHECKING:
    from reproduce.start.cluster import Submission


def add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    """What `submit` and `retry` let one type."""
    options.add_targets(parser, known)
    options.add_results(parser)
    parser.add_argument(
        "--profile", required=True, help="a100, v100 or local (conf/hydra/launcher); a100,v100 shares the runs out"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        dest="settings",
        help="a setting of the profiles, such as account=nlp; may be typed several times",
    )
    parser.add_argument("--runs-per-job", type=options.positive, metavar="N", help="short runs that share a job")
    parser.add_argument(
        "--failures",
        type=options.positive,
        default=FAILURES,
        metavar="N",
        help="a run that failed N times in a row because of its machine waits for retry (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the sbatch scripts and submit nothing")


def submit(typed: argparse.Namespace, known: Targets, *, retry: bool) -> int:
    """Submit, or show, what the targets lack; 1 where runs were held back."""
    needed = [run for runs in options.needed(typed, known).values() for run in runs]
    return submit_runs(needed, typed, retry=retry)


def submit_runs(needed: Iterable[Needed], typed: argparse.Namespace, *, retry: bool) -> int:
    """The same for any runs."""
    from reproduce.start.cluster import Submission, summary
    from reproduce.start.profiles import Profile

    names = list(dict.fromkeys(typed.profile.split(",")))
    if "local" in names[1:] or (len(names) > 1 and names[0] == "local"):
        raise ConfigError("--profile local cannot share runs with another profile: type it alone")
    profiles = [Profile.load(name, typed.settings) for name in names]
    root = options.root(typed)

    def chosen(jobs: JobKnown | None) -> Selection:
        return select(needed, Store(root), jobs, retry=retry, failures=typed.failures)

    submission = Submission(root, profiles, typed.runs_per_job, typed.failures)
    if typed.dry_run:
        selection = asking(lambda jobs: _show(replace(submission, known=jobs or _unknown), chosen(jobs)))
        return 1 if selection.held else 0
    selection = chosen(submission.known)
    submitted = 0
    try:
        for array, jobs in submission.submit(selection.wanted):
            submitted += sum(map(len, array.parts))
            after = f", after {summary(array.after)}" if array.after else ""
            print(
                f"submitted {_described(array.parts)} on {array.profile.name}: job {summary(jobs)}{after}", flush=True
            )
    finally:
        runs = f"{submitted} run{'s' * (submitted != 1)}"
        print(f"submitted {runs}, under way {submission.under_way}, done {selection.done}")
    _remark(submission, selection)
    return 1 if selection.held else 0


def _show(submission: "Submission", selection: Selection) -> Selection:
    for array, script in submission.scripts(selection.wanted):
        print(f"# {_described(array.parts)} on {array.profile.name}")
        print(script or "\n".join(run.run.path.name for part in array.parts for run in part))
    _remark(submission, selection)
    return selection


def _remark(submission: "Submission", selection: Selection) -> None:
    for line in (*(one.not_yet("submit") for one in submission.waiting), *selection.remarks()):
        print(line)


def _unknown(job: str) -> bool:
    return False


def _described(parts: tuple[tuple[object, ...], ...]) -> str:
    runs = sum(map(len, parts))
    return f"{runs} run{'s' * (runs > 1)} in {len(parts)} job{'s' * (len(parts) > 1)}"


def _run(typed: argparse.Namespace, known: Targets) -> int:
    return submit(typed, known, retry=False)


COMMAND = Command("submit", "submit what targets lack to SLURM, or to this machine", add_arguments, _run)
