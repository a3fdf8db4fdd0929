"""Everything that a page is made from, gathered once: what it shows of each target, claims, gaps, compute spent."""

import base64
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from fun.errors import ConfigError, FunError
from fun.results import Record, RunFolder, State
from reproduce.declare import claims
from reproduce.declare.claims import Statements
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Paper, Target
from reproduce.declare.tables import Place, Table
from reproduce.numbers.cells import Grid, fill
from reproduce.numbers.claims import Checked, check
from reproduce.numbers.explain import Behind, behind, below, languages_of
from reproduce.numbers.verdicts import Conclusion, verdicts
from reproduce.runs.plan import Entry, plan
from reproduce.runs.store import Absent, Done, Results, Store, results_of, sweeps
from reproduce.show.figures import drawing, style
from reproduce.show.view import Item, View, language_names, of_results, view

POINTS = 80
"""Pixels of the page to an inch of a figure: its 9 points are then as large as the page's small print."""

CLAIMED = "claims"
"""What the runs that claims need are grouped under, beside the targets."""

PRODUCERS = "what other runs read: these first"

UNKNOWN = "unknown"
UNITS = {UNKNOWN: UNKNOWN, **dict.fromkeys(("x86_64", "amd64", "aarch64", "arm64"), "CPU-hours")}
"""The unit of a device's time: a machine without a GPU calls itself so; any other device is the name of a GPU."""


class Values(NamedTuple):
    """A row of what is behind numbers: a value per run. `item` is None for a language that no number is about."""

    label: str
    values: tuple[float | None, ...]
    item: Item | None


class Runs(NamedTuple):
    """The runs behind one or more numbers of a row, and their values."""

    title: str
    runs: tuple[Behind, ...]
    rows: tuple[Values, ...]


@dataclass(frozen=True)
class Section:
    """A target on the page: a table (`view`) or a figure (`image`, an address that holds it, or a `reason` for none).

    Of its `needed` runs so many are `done`, and so many of the others `startable` unasked.
    """

    target: Target
    needed: int
    done: int
    startable: int
    view: View | None = None
    runs: tuple[Runs, ...] = ()
    image: str = ""
    width: int = 0
    reason: str = ""

    @property
    def figure(self) -> bool:
        return isinstance(self.target, Figure)

    @property
    def short(self) -> str:
        """What it is called in a list: `Table 1` where it has a number, or `Table I, three seeds`."""
        numbered = re.match(r"\w+ (\d+|[IVX]+)\b(, [\w ]+)?", self.target.title)
        return numbered[0] if numbered else self.target.title

    @property
    def conclusions(self) -> Counter[Conclusion]:
        """Its verdicts, counted."""
        items = self.view.items if self.view else ()
        return Counter(item.verdict.conclusion for item in items if item.verdict)


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

    @cached_property
    def _read(self) -> set[RunFolder]:
        """The runs that make what missing ones read."""
        return {run for entry in self.entries if entry.missing for run in entry.producers}

    @cached_property
    def missing(self) -> list[Entry]:
        """What has to be started, those first that others read."""
        return sorted((entry for entry in self.entries if entry.missing), key=lambda entry: entry.run not in self._read)

    @property
    def startable_sweeps(self) -> list[str]:
        """Those that may be started unasked, as few lines to paste."""
        startable = (entry for entry in self.missing if entry.startable)
        parts = groupby(startable, key=lambda entry: entry.run in self._read)
        return [line for _, part in parts for line in sweeps(entry.needed.arguments for entry in part)]

    @property
    def reasons(self) -> Mapping[str, list[str]]:
        """The commands of missing runs by what is wrong, empty where they were never started; paths from `root` on."""
        commands = defaultdict[str, list[str]](list)
        for entry in self.missing:
            reason = f"{entry.state}{', but' if entry.state is State.DONE else ':'} {' '.join(entry.reason.split())}"
            if entry.state is State.MISSING:
                reason = PRODUCERS if entry.run in self._read else ""
            commands[below(self.root, reason)].append(entry.command)
        return commands

    @property
    def states(self) -> Counter[str]:
        """How many runs are in which state; under an empty text those that are done and have all that is needed."""
        return Counter(map(_state, self.entries))

    @property
    def by_device(self) -> list[tuple[str, str, list[Record]]]:
        """Each device of done runs, the unit of its time, and its records; `unknown` where they do not name it."""
        devices = defaultdict[str, list[Record]](list)
        for record in self.records:
            devices[record.environment.get("device") or UNKNOWN].append(record)
        return [(device, UNITS.get(device.lower(), "GPU-hours"), devices[device]) for device in sorted(devices)]


def gather(paper: Paper, model: str | None, store: Store) -> Material:
    """Look up every run of a page, fill its tables, check its claims: with a model those of the miniature of that name,
    whose targets have all their runs on it, else the paper's. Raises ConfigError for a model that is no miniature."""
    statements = claims.load(paper)
    targets = _targets(paper, model, statements)
    of_model = (scope for scope in statements.scopes.values() if model in scope.main)
    scope = next(of_model, None) if model else statements.own
    groups = {target.name: target.needed() for target in targets}
    if scope is not None:
        groups[CLAIMED] = statements.needed(scope)
    results = {name: results_of(needed, store) for name, needed in groups.items()}
    done = [result for part in results.values() for result in part.values() if isinstance(result, Done)]
    sections = tuple(section(target, results[target.name], store.root) for target in targets)
    checked = tuple(check(statements, scope, results[CLAIMED])) if scope is not None else ()
    records = tuple({run.record.run_id: run.record for run in done}.values())
    return Material(store.root, paper, model, sections, checked, tuple(plan(groups, store)), records)


def section(target: Target, results: Results, root: Path) -> Section:
    """What is shown of a target; `results` are those of its runs, below `root`."""
    done = sum(result.complete for result in results.values())
    startable = sum(result.startable for result in results.values())
    if isinstance(target, Figure):
        content = _image(target, results, root)
    elif isinstance(target, Table):
        grid = fill(target, results)
        table = of_results(grid, verdicts(grid))
        content = {"view": table, "runs": tuple(_behind(grid, results, table, root))}
    else:
        content = {"view": view(target, results)}
    return Section(target, len(results), done, startable, **content)


def _image(figure: Figure, results: Results, root: Path) -> dict[str, Any]:
    """A figure drawn as SVG inside the page."""
    drawn = drawing.drawing(figure, results)
    if not drawn.served:
        return {"reason": f"Nothing to draw yet: none of its {len(results)} runs has what it shows."}
    try:
        with matplotlib.rc_context(style.LOOK):
            sheet, file = drawn.draw(), io.BytesIO()
            sheet.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    except FunError as error:  # tr(F) of estimators that do not compare, or at updates that differ
        return {"reason": below(root, str(error))}
    image = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return {"image": image, "width": round(sheet.get_figwidth() * POINTS)}


def _behind(grid: Grid, results: Results, laid_out: View, root: Path) -> Iterator[Runs]:
    """Numbers that come from the same runs of a row and data set stand together."""
    table, items, names = grid.target, {item.place: item for item in laid_out.items}, language_names(grid.target)
    groups = defaultdict[tuple[str, ...], list[tuple[Place, tuple[Behind, ...]]]](list)
    for place in grid.cells:
        if runs := tuple(behind(grid, results, place, root)):  # a quoted row has none
            key = (place.panel, place.dataset, place.row, *(run.run_id for run in runs))
            groups[key].append((place, runs))
    for group in groups.values():
        where, shown = group[0]
        dataset = table.datasets[where.dataset]
        numbers, languages = [], []
        for place, runs in group:
            over, metric = table.over(place.column).label(dataset), dataset.metrics[place.metric]
            label = table.columns[place.column].label or names.get(over.lower(), over)
            numbers.append(Values(f"{label}, {metric}", tuple(run.average for run in runs), items[place]))
            averaged = languages_of(grid, place)
            for language in averaged if len(averaged) > 1 else ():
                if language not in table.columns:  # else it is a number itself
                    values = tuple(run.values.get(language) for run in runs)
                    languages.append(Values(f"{names.get(language, language)}, {metric}", values, None))
        labels = (table.panels[where.panel].label, table.rows[where.row].label, dataset.label)
        yield Runs(" · ".join(filter(None, labels)), shown, (*numbers, *languages))


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


def _state(entry: Entry) -> str:
    if entry.state is not State.DONE:
        return entry.state.value
    if isinstance(entry.result, Absent):
        return "done but marked" if entry.result.state is State.DONE else entry.result.state.value
    return "done but without all that is needed" if entry.reason else ""
