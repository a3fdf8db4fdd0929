"""Everything that a page is made from, gathered once: targets, what was found of their runs, tables, claims."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fun.errors import ConfigError
from fun.results import Record
from reproduce.declare import claims
from reproduce.declare.claims import Statements
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Paper, Target
from reproduce.numbers.claims import Checked, check
from reproduce.runs.plan import Entry, plan
from reproduce.runs.store import Done, Results, Store, results_of
from reproduce.show.page.sections import Section, section

CLAIMED = "claims"
"""What the runs that claims need are grouped under, beside the targets."""


@dataclass(frozen=True)
class Material:
    """What a page is made from. `model` is None for the paper itself, else the miniature's.

    `entries` are all runs of the page, each once and behind what it reads; `records` those that are done.
    """

    root: Path
    paper: Paper
    model: str | None
    sections: tuple[Section, ...]
    checked: tuple[Checked, ...]
    entries: tuple[Entry, ...]
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """What its page is called."""
        return f"{self.paper.name}-{self.model}" if self.model else self.paper.name


def gather(paper: Paper, model: str | None, store: Store) -> Material:
    """Look up every run of a page, fill its tables, check its claims.

    With a model: the miniature of that name, and the targets whose runs are all its own. Without: the paper, and all
    other targets. Raises ConfigError for a model that is no miniature.
    """
    statements = claims.load(paper)
    targets = _targets(paper, model, statements)
    own = statements.own
    scopes = [scope for scope in statements.scopes.values() if (model in scope.main if model else scope is own)]
    results = {target.name: results_of(target.needed(), store) for target in targets}
    groups = {target.name: target.needed() for target in targets}
    compared: Results = {}
    for scope in scopes:
        groups[CLAIMED] = statements.needed(scope)
        compared = results_of(groups[CLAIMED], store)
    done = [result for part in (*results.values(), compared) for result in part.values() if isinstance(result, Done)]
    return Material(
        root=store.root,
        paper=paper,
        model=model,
        sections=tuple(section(target, results[target.name], store.root) for target in targets),
        checked=tuple(claim for scope in scopes for claim in check(statements, scope, compared)),
        entries=tuple(plan(groups, store)),
        records=tuple({run.record.run_id: run.record for run in done}.values()),
    )


def miniatures(paper: Paper, statements: Statements) -> list[str]:
    """The models that a paper has a miniature for: targets of their own, or claims on other data than its own."""
    claimed = [model for scope in statements.scopes.values() if scope is not statements.own for model in scope.main]
    variants = ((target, *target.stem.rpartition("-")[::2]) for target in paper.targets.values())
    owned = [model for target, stem, model in variants if stem in paper.targets and _owner(target, [model]) == model]
    return list(dict.fromkeys([*claimed, *owned]))


def _targets(paper: Paper, model: str | None, statements: Statements) -> tuple[Target, ...]:
    """Tables by their number, those without one behind, then figures: the miniature's own, or all that are nobody's."""
    models = miniatures(paper, statements)
    if model is not None and model not in models:
        valid = ", ".join((*models, "none for the paper's"))
        raise ConfigError(f"{paper.name} has no page for model '{model}'; valid: {valid}.")
    owned = [target for target in paper.targets.values() if _owner(target, models) == model]
    number = {target.stem: float("".join(filter(str.isdigit, target.stem)) or "inf") for target in owned}
    return tuple(sorted(owned, key=lambda target: (isinstance(target, Figure), number[target.stem])))


def _owner(target: Target, models: Iterable[str]) -> str | None:
    """The miniature that all of a target's runs are on."""
    owners = {next((m for m in models if f"model={m}" in run.overrides), None) for run in target.needed()}
    return owners.pop() if len(owners) == 1 else None
