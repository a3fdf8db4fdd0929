"""`python -m reproduce select sweep=lr_k …`: choose hyperparameters from a finished search, for `hparams=selected`."""

import argparse
import statistics
from dataclasses import dataclass

from fun.config.search import Selection, option, shown
from fun.results import JobKnown, State
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.declare.parts import Needed
from reproduce.runs.store import Found, Gap, Results, Store, command, configuration, found, missing
from reproduce.start.jobs import asking
from reproduce.start.search import Searched, failure, failures, scores, searches, select


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument(
        "search", metavar="OVERRIDE", nargs="+", help="sweep=lr_k, and what was typed for its runs, such as task=mnli"
    )
    options.add_results(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    store = Store(options.root(typed))
    done = [_select(searched, store) for searched in searches(typed.search)]
    return 0 if all(done) else 1


@dataclass(frozen=True)
class _Lookup:
    """What `store` holds; of a run that failed by its method also whether a job is to try it again."""

    store: Store
    jobs: JobKnown | None

    def __call__(self, needed: Needed) -> Found | Gap:
        result = self.store(needed)
        if not failure(result):
            return result
        status = self.store.runs(configuration(needed.overrides))[0].status(job_known=self.jobs)
        return result if status.state is State.FAILED else Gap(status.state, status.detail, startable=False)


def _select(searched: Searched, store: Store) -> bool:
    """Select from one search and say so; False, and why, where it is not complete or every point of it failed."""
    needed = searched.needed()
    results = asking(lambda jobs: found(needed, _Lookup(store, jobs)))
    label = searched.search.label
    lacking = [run for run in needed if not _settled(results[run.overrides])]
    if lacking:
        print(f"{label}: nothing is selected, because {len(lacking)} of {len(needed)} runs are missing:")
        print(*missing(lacking, results), sep="\n")
        return False
    selection = select(searched, results)
    if selection is None:
        print(f"{label}: nothing is selected, because {_nothing_left(searched, results)}")
        return False
    print(f"{label}: {selection.rule}")
    _show(selection, searched, results)
    _warn(selection, searched)
    print(f"wrote {selection.write(store.root)}")
    print(f"for runs with these values: {command(searched.command)}")
    return True


def _settled(result: Found | Gap) -> bool:
    """Whether a run has a score, or would fail again."""
    return isinstance(result, Found) or failure(result) != ""


def _nothing_left(searched: Searched, results: Results) -> str:
    failed = failures(searched, results)
    point, reason = next(iter(failed.items()))
    tried = " or ".join(map(option, searched.search.grid))
    return (
        f"all {len(failed)} points of the grid have a run that failed by its method, such as {shown(dict(point))} "
        f"({reason}); expected one without: search elsewhere with {tried}"
    )


def _show(selection: Selection, searched: Searched, results: Results) -> None:
    failed = failures(searched, results)
    for point, values in scores(searched, results).items():
        if point in failed:
            print(f"    {shown(dict(point))}: never selected: {failed[point]}")
            continue
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        mark = "  <- selected" if dict(point) == selection.selected else ""
        print(f"    {shown(dict(point))}: {statistics.fmean(values):.2f}{spread} (n={len(values)}){mark}")


def _warn(selection: Selection, searched: Searched) -> None:
    for field in selection.edges:
        tried = ",".join(map(str, searched.search.grid[field]))
        name = field.rpartition(".")[2]
        print(
            f"warning: {field}={selection.selected[field]} lies at the edge of what was tried, and a better value may "
            f"lie beyond: search also there with 'sweep.{name}=[{tried},…]'"
        )


COMMAND = Command("select", "choose hyperparameters from a finished search", _add_arguments, _run)
