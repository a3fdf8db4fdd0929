"""`python -m reproduce select sweep=lr_k …`: choose hyperparameters from a finished search, for `hparams=selected`."""

import argparse
import statistics

from fun.config.search import Selection
from reproduce.commands import options
from reproduce.commands.command import Command, Targets
from reproduce.plan import Found, Store, command, found, missing
from reproduce.search import Searched, scores, searches, select


def _add_arguments(parser: argparse.ArgumentParser, known: Targets) -> None:
    parser.add_argument(
        "search", metavar="OVERRIDE", nargs="+", help="sweep=lr_k, and what was typed for its runs, such as task=mnli"
    )
    options.add_results(parser)


def _run(typed: argparse.Namespace, known: Targets) -> int:
    store = Store(options.root(typed))
    done = [_select(searched, store) for searched in searches(typed.search)]
    return 0 if all(done) else 1


def _select(searched: Searched, store: Store) -> bool:
    """Select from one search and say so; False, and what it lacks, where it is not complete."""
    needed = searched.needed()
    results = found(needed, store)
    lacking = [run for run in needed if not isinstance(results[run.overrides], Found)]
    label = searched.search.label
    if lacking:
        print(f"{label}: nothing is selected, because {len(lacking)} of {len(needed)} runs are missing:")
        print(*missing(lacking, results), sep="\n")
        return False
    selection = select(searched, results)
    print(f"{label}: {selection.rule}")
    for point, values in scores(searched, results).items():
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        mark = "  <- selected" if dict(point) == selection.selected else ""
        shown = " ".join(f"{field}={value}" for field, value in point)
        print(f"    {shown}: {statistics.fmean(values):.2f}{spread} (n={len(values)}){mark}")
    _warn(selection, searched)
    print(f"wrote {selection.write(store.root)}")
    print(f"for runs with these values: {command(searched.command)}")
    return True


def _warn(selection: Selection, searched: Searched) -> None:
    for field in selection.edges:
        tried = ",".join(map(str, searched.search.grid[field]))
        name = field.rpartition(".")[2]
        print(
            f"warning: {field}={selection.selected[field]} lies at the edge of what was tried, and a better value may "
            f"lie beyond: search also there with 'sweep.{name}=[{tried},…]'"
        )


COMMAND = Command("select", "choose hyperparameters from a finished search", _add_arguments, _run)
