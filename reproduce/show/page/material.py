"""Everything that a page is made from, gathered once: targets, what was found of their runs, tables, claims."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError
from fun.results import Record
from reproduce.declare import claims
from reproduce.declare.claims import Scope, Statements
from reproduce.declare.figures import Figure
from reproduce.declare.papers import ANCHOR, Paper, Target
from reproduce.declare.settings import Settings
from reproduce.declare.tables import Place, Table
from reproduce.numbers import cells
from reproduce.numbers import settings as filling
from reproduce.numbers.cells import Grid
from reproduce.numbers.claims import Checked, check
from reproduce.numbers.settings import Sheet
from reproduce.numbers.verdicts import Verdict, verdicts
from reproduce.runs.plan import Entry, plan
from reproduce.runs.store import Found, Results, Store, found, needed_runs
from reproduce.show.figures.rows import look_up

CLAIMED = "claims"
"""What the runs that claims need are grouped under, beside the targets."""


@dataclass(frozen=True)
class Material:
    """What a page is made from. `model` is None for the paper itself, else the miniature's.

    `results` holds what was found of each target's runs, by the target's name. `entries` are all runs of the page,
    each once and behind what it reads; `records` those that are done, by their run_id.
    """

    root: Path
    paper: Paper
    model: str | None
    scope: Scope
    targets: tuple[Target, ...]
    results: Mapping[str, Results]
    entries: tuple[Entry, ...]
    records: Mapping[str, Record]
    grids: Mapping[str, Grid]
    verdicts: Mapping[str, Mapping[Place, Verdict]]
    sheets: Mapping[str, Sheet]
    checked: tuple[Checked, ...]

    def kind(self, target: Target) -> str:
        """`table`, `settings` or `figure`."""
        return "table" if target.name in self.grids else "settings" if target.name in self.sheets else "figure"


def gather(model: str | None, known: Mapping[str, Target], store: Store) -> Material:
    """Look up every run of a page, fill its tables, check its claims.

    With a model: the miniature of that name, and the targets whose runs are all its own. Without: the paper, and all
    other targets. Raises ConfigError for a model that is no miniature.
    """
    paper = next(target.paper for target in known.values() if target.paper.name == ANCHOR)
    statements = claims.load(paper)
    scope = _scope(statements, model)
    targets = _targets(statements, model, known)
    results = {target.name: _found(target, store) for target in targets}
    claimed = statements.needed(scope)
    compared = found(claimed, store)
    groups = {**{target.name: needed_runs(target) for target in targets}, CLAIMED: claimed}
    grids = {target.name: cells.fill(target, results[target.name]) for target in targets if isinstance(target, Table)}
    return Material(
        root=store.root,
        paper=paper,
        model=model,
        scope=scope,
        targets=targets,
        results=results,
        entries=tuple(plan(groups, store)),
        records=_records([*results.values(), compared]),
        grids=grids,
        verdicts={name: verdicts(grid) for name, grid in grids.items()},
        sheets={target.name: filling.fill(target) for target in targets if isinstance(target, Settings)},
        checked=tuple(check(statements, scope, compared)),
    )


def _records(results: Iterable[Results]) -> dict[str, Record]:
    found = (result for part in results for result in part.values() if isinstance(result, Found))
    return {one.record.run_id: one.record for one in found}


def _scope(statements: Statements, model: str | None) -> Scope:
    miniatures = {name: scope for scope in statements.scopes.values() if not scope.published for name in scope.main}
    if model is None:
        return next(scope for scope in statements.scopes.values() if scope.published)
    if model not in miniatures:
        raise ConfigError(f"no page for model '{model}'; valid: {', '.join(miniatures)}, or none for the paper's.")
    return miniatures[model]


def _targets(statements: Statements, model: str | None, known: Mapping[str, Target]) -> tuple[Target, ...]:
    """Tables by their number, then figures: all of the miniature's own, or all that are nobody's."""
    miniatures = {name for scope in statements.scopes.values() if not scope.published for name in scope.main}
    chosen = [
        target for target in known.values() if target.paper.name == ANCHOR and _owner(target, miniatures) == model
    ]
    return tuple(sorted(chosen, key=_order))


def _owner(target: Target, miniatures: set[str]) -> str | None:
    """The miniature that all of a target's runs are on."""
    owners = {
        next((name for name in miniatures if f"model={name}" in run.overrides), None) for run in needed_runs(target)
    }
    return owners.pop() if len(owners) == 1 else None


def _order(target: Target) -> tuple[bool, int]:
    return isinstance(target, Figure), int("".join(filter(str.isdigit, target.name)) or 0)


def _found(target: Target, store: Store) -> Results:
    """A figure's runs also have their step logs checked where it is drawn from them."""
    return (look_up if isinstance(target, Figure) else found)(needed_runs(target), store)
