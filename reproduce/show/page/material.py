"""Everything that a page is made from, gathered once: targets, what was found of their runs, tables, claims."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError
from fun.results import Record
from reproduce.declare import published
from reproduce.declare.claims import CLAIMS, Scope, Statements
from reproduce.declare.claims import load as load_claims
from reproduce.declare.papers import Place, Target
from reproduce.declare.published import Published
from reproduce.numbers import cells
from reproduce.numbers import quantities as values
from reproduce.numbers import settings as filling
from reproduce.numbers.cells import Grid
from reproduce.numbers.claims import Checked, check
from reproduce.numbers.settings import Sheet
from reproduce.numbers.verdicts import Margin, Verdict, margins, verdicts
from reproduce.runs.plan import Entry, plan
from reproduce.runs.store import Found, Results, Store, found, needed_runs
from reproduce.show.figures.rows import look_up

STATEMENTS = CLAIMS / "fun_claims.yaml"

CLAIMED = "claims"
"""What the runs that claims need are grouped under, beside the targets."""


@dataclass(frozen=True)
class Material:
    """What a page is made from. `model` is None for the paper itself, else the miniature's.

    `results` holds what was found of each target's runs, by the target's name. `entries` are all runs of the page,
    each once and behind what it reads; `records` those that are done, by their run_id.
    """

    root: Path
    model: str | None
    scope: Scope
    targets: tuple[Target, ...]
    results: Mapping[str, Results]
    entries: tuple[Entry, ...]
    records: Mapping[str, Record]
    grids: Mapping[str, Grid]
    verdicts: Mapping[str, Mapping[Place, Verdict]]
    sheets: Mapping[str, Sheet]
    numbers: Published
    checked: tuple[Checked, ...]
    margins: Mapping[str, Margin]

    def kind(self, target: Target) -> str:
        """`table`, `settings` or `figure`."""
        return "table" if target.name in self.grids else "settings" if target.name in self.sheets else "figure"


def gather(model: str | None, known: Mapping[str, Target], store: Store) -> Material:
    """Look up every run of a page, fill its tables, check its claims.

    With a model: the miniature of that name, and the targets whose runs are all its own. Without: the paper, and all
    other targets. Raises ConfigError for a model that is no miniature.
    """
    statements, declared = load_claims(STATEMENTS), margins()
    scope = _scope(statements, model)
    targets = _targets(statements, model, known)
    results = {target.name: _found(target, store) for target in targets}
    claimed = values.needed(statements, scope)
    compared = found(claimed, store)
    groups = {**{target.name: needed_runs(target) for target in targets}, CLAIMED: claimed}
    numbers = published.load(targets[0].paper)
    grids = {
        target.name: cells.fill(target, results[target.name], numbers)
        for target in targets
        if target.name in target.paper.tables
    }
    return Material(
        root=store.root,
        model=model,
        scope=scope,
        targets=targets,
        results=results,
        entries=tuple(plan(groups, store)),
        records=_records([*results.values(), compared]),
        grids=grids,
        verdicts={name: verdicts(grid, declared) for name, grid in grids.items()},
        sheets={
            target.name: filling.fill(target, numbers) for target in targets if target.name in target.paper.settings
        },
        numbers=numbers,
        checked=tuple(check(statements, scope, compared, declared)),
        margins=declared,
    )


def _records(results: Iterable[Results]) -> dict[str, Record]:
    found = (result for part in results for result in part.values() if isinstance(result, Found))
    return {one.record.run_id: one.record for one in found}


def _scope(statements: Statements, model: str | None) -> Scope:
    miniatures = {name: scope for scope in statements.scopes.values() if not scope.published for name in scope.models}
    if model is None:
        return next(scope for scope in statements.scopes.values() if scope.published)
    if model not in miniatures:
        raise ConfigError(f"no page for model '{model}'; valid: {', '.join(miniatures)}, or none for the paper's.")
    return miniatures[model]


def _targets(statements: Statements, model: str | None, known: Mapping[str, Target]) -> tuple[Target, ...]:
    """Tables by their number, then figures: all of the miniature's own, or all that are nobody's."""
    miniatures = {name for scope in statements.scopes.values() if not scope.published for name in scope.models}
    chosen = [target for target in known.values() if _owner(target, miniatures) == model]
    return tuple(sorted(chosen, key=_order))


def _owner(target: Target, miniatures: set[str]) -> str | None:
    """The miniature that all of a target's runs are on."""
    owners = {
        next((name for name in miniatures if f"model={name}" in run.overrides), None) for run in needed_runs(target)
    }
    return owners.pop() if len(owners) == 1 else None


def _order(target: Target) -> tuple[bool, int]:
    return target.name in target.paper.figures, int("".join(filter(str.isdigit, target.name)) or 0)


def _found(target: Target, store: Store) -> Results:
    """A figure's runs also have their step logs checked where it is drawn from them."""
    return (look_up if target.name in target.paper.figures else found)(needed_runs(target), store)
