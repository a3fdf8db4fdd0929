"""A filled table as it is shown: the layout, every text and every footnote's number, decided once for all writers,
which know nothing of tables of results or of settings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import singledispatch
from itertools import groupby

from reproduce.declare.papers import Target
from reproduce.declare.parts import LANGUAGE
from reproduce.declare.settings import Languages, Settings
from reproduce.declare.tables import AVERAGE_WITH_SOURCE, LOWEST, SOURCE, Correlation, Place, Rank, Table
from reproduce.numbers import cells, correlation, settings
from reproduce.numbers.cells import DECIMALS, Cell, Grid, Statistic
from reproduce.numbers.verdicts import Verdict
from reproduce.runs.store import Results

NOTHING = "–"
"""Stands where there is no number."""


@dataclass(frozen=True)
class Item:
    """One number or word of a table. `text` is ours, `published` what the paper prints (empty where nothing).

    Both name their language where the column does not. `notes` are the numbers of footnotes on ours, `errata` of those
    on the published. `exact` is its row of the CSV file. `place` leads to the runs behind it; `verdict` is on ours
    beside the published.
    """

    text: str
    published: str = ""
    metric: str = ""
    rank: Rank | None = None
    complete: bool = True
    differs: bool = False
    notes: tuple[int, ...] = ()
    errata: tuple[int, ...] = ()
    exact: Mapping[str, object] = field(default_factory=dict)
    place: Place | None = None
    cell: Cell | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Slot:
    """What stands in one column of a line: an item per metric."""

    items: tuple[Item, ...]

    @property
    def texts(self) -> list[tuple[str, Rank | None]]:
        """Each item's text; once, where none is complete and all say the same."""
        texts = [(item.text, item.rank) for item in self.items]
        complete = any(item.complete for item in self.items)
        return (texts if complete else list(dict.fromkeys(texts))) or [(NOTHING, None)]

    @property
    def published(self) -> str:
        """`57.37±0.32 / 38.27±0.27`; empty where nothing is published."""
        return " / ".join(item.published for item in self.items if item.published)

    @property
    def footnotes(self) -> tuple[list[int], list[int]]:
        """The numbers of those on ours, and of those on the published."""
        ours = {number for item in self.items for number in item.notes}
        return sorted(ours), sorted({number for item in self.items for number in item.errata})

    @property
    def differs(self) -> bool:
        return any(item.differs for item in self.items)


@dataclass(frozen=True)
class Line:
    """A row of a part; a slot for each heading. A `quoted` one has published numbers only."""

    label: str
    slots: tuple[Slot, ...]
    quoted: bool = False

    @property
    def label_of_published(self) -> str:
        """What stands before its published numbers, below ours; empty where it has none."""
        if self.quoted:
            return f"{self.label} (quoted)"
        return "published" if any(slot.published for slot in self.slots) else ""


@dataclass(frozen=True)
class Heading:
    """A column: its name in the declaration, its label (`short` without metrics), and the name of its language."""

    key: str
    label: str
    short: str
    name: str = ""


@dataclass(frozen=True)
class Part:
    """The lines of a panel on one data set; of a table of settings, of a panel.

    `block`: parts of one block stand side by side in print. `label` is the data set with the `metrics` that every
    column shows; `errata` are footnotes on all that is printed for it.
    """

    panel: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    block: int = 0
    dataset: str = ""
    label: str = ""
    metrics: tuple[str, ...] = ()
    errata: tuple[int, ...] = ()


def beside(parts: Sequence[Part]) -> tuple[Line, ...]:
    """The lines of parts that stand side by side, each as one."""
    return tuple(
        replace(lines[0], slots=tuple(slot for line in lines for slot in line.slots))
        for lines in zip(*(part.lines for part in parts), strict=True)
    )


@dataclass(frozen=True)
class View:
    """A table: parts panel by panel, what its caption says, and its footnotes, numbered from 1.

    `complete` of its `count` numbers have all their runs; of a table of settings, are what is printed.
    """

    name: str
    title: str
    caption: tuple[str, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    complete: int
    count: int
    summary: str

    @property
    def joined(self) -> list[Part]:
        """Its parts; those of a block that have one column each as one, whose columns are the data sets."""
        joined: list[Part] = []
        for _, group in groupby(self.parts, key=lambda part: (part.panel, part.block)):
            parts = list(group)
            if len(parts) > 1 and all(len(part.headings) == 1 for part in parts):
                headings = tuple(Heading(part.label, part.label, part.label) for part in parts)
                errata = tuple(sorted({number for part in parts for number in part.errata}))
                parts = [Part(parts[0].panel, headings, beside(parts), parts[0].block, errata=errata)]
            joined += parts
        return joined

    @property
    def items(self) -> Iterator[Item]:
        """Every number, line by line."""
        return (i for part in self.parts for line in part.lines for slot in line.slots for i in slot.items)


class Footnotes(dict[str, int]):
    """Texts with their numbers, from 1 in the order of their first use."""

    def number(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The numbers of `texts`, ascending."""
        return tuple(sorted({self.setdefault(text, len(self) + 1) for text in texts}))


def printed(statistic: Statistic | None, spread: bool = True) -> str:
    """As printed: `57.37±0.32`, `57.37` for one replicate, `3/4` for an incomplete set, a dash for none."""
    if statistic is None:
        return NOTHING
    if statistic.mean is None:
        return f"{statistic.n}/{statistic.declared}"
    std = "" if statistic.std is None or not spread else f"±{statistic.std:.{DECIMALS}f}"
    return f"{statistic.mean:.{DECIMALS}f}{std}"


@singledispatch
def view(target: Target, results: Results) -> View:
    """A target's table from what was found of its runs; for each kind of target that is one a function of its own."""
    raise TypeError(f"{target.name} is no table")


@view.register
def _(target: Table, results: Results) -> View:
    return of_results(cells.fill(target, results))


def of_results(grid: Grid, verdicts: Mapping[Place, Verdict] | None = None) -> View:
    """A table of results, with the verdicts on its numbers where they are shown."""
    table, layout = grid.target, _Layout(grid, verdicts or {}, Footnotes())
    parts = tuple(
        layout.part(panel, number, name)
        for panel in table.panels
        for number, block in enumerate(table.blocks)
        for name in block
    )
    caption, notes = tuple(_caption(grid)), tuple(layout.notes)
    summary = f"{grid.complete} of {grid.numbers} numbers complete"
    return View(table.stem, table.title, caption, parts, notes, grid.complete, grid.numbers, summary)


@dataclass(frozen=True)
class _Layout:
    """Lays out a table of results."""

    grid: Grid
    verdicts: Mapping[Place, Verdict]
    notes: Footnotes

    def part(self, panel: str, block: int, name: str) -> Part:
        table, dataset = self.grid.target, self.grid.target.datasets[name]
        columns = {column: own for column in table.columns if (own := table.metrics(column, dataset))}
        metrics = tuple(dataset.metrics[m] for m in dataset.metrics if any(m in own for own in columns.values()))
        common = [dataset.metrics[m] for m in dataset.metrics if all(m in own for own in columns.values())]
        errata = self.notes.number(table.dataset_errata(name))
        headings = [self._heading(panel, name, column, len(common)) for column in columns]
        if table.reference:
            labels = (f"− {table.rows[table.reference].label}", *cells.COSTS)
            headings += [Heading(label, label, label) for label in labels]
        places = (place for place, cell in self.grid.cells.items() if cell.published and place.panel == panel)
        quoted = {place.row for place in places if place.dataset in table.blocks[block]}  # in any of the parts beside
        panel_label, lines = table.panels[panel].label, []
        for row, group in table.rows.items():
            if group.quoted and row not in quoted:
                continue
            slots = [
                Slot(tuple(self._item(Place(panel, row, name, column, metric)) for metric in own))
                for column, own in columns.items()
            ]
            if table.reference:
                last = Place(panel, row, name, list(columns)[-1], dataset.main_metric)
                slots += self._beside(last, table.reference)
            lines.append(Line(group.label or panel_label, tuple(slots), group.quoted))
        label = f"{dataset.label} ({' / '.join(common)})"
        return Part(panel_label, tuple(headings), tuple(lines), block, dataset.label, label, metrics, errata)

    def _beside(self, place: Place, reference: str) -> Iterator[Slot]:
        """The difference of the number at a place to that of the reference row, and what its runs cost."""
        table, results = self.grid.target, self.grid.results
        gained = cells.gain(table, results, place, replace(place, row=reference))
        signed = f"{'+' if (gained.mean or -1) > 0 else ''}{printed(gained)}"
        texts = {"difference": (gained, NOTHING if place.row == reference else signed)}
        for name, cost in cells.costs(table, results, place).items():
            texts[name] = (cost, printed(cost) if cost.mean is None else f"{cost.mean:,.0f}")
        metric = table.datasets[place.dataset].metrics[place.metric]
        for name, (own, text) in texts.items():
            exact = {"table": table.stem, **asdict(place), "column": name, "metric": "", **_measured(own)}
            yield Slot((Item(text, metric=metric, complete=own.mean is not None, exact=exact),))

    def _item(self, place: Place) -> Item:
        cell, table = self.grid.cells[place], self.grid.target
        named = table.over(place.column) == LOWEST and place.dataset in table.own_lowest
        number, text = cell.published, printed(cell.statistic, table.columns[place.column].spread)
        theirs = (f"{number.mean}±{number.std}" if number.std else number.mean) if number else ""
        return Item(
            text=f"{text} ({cell.language.title()})" if named and cell.language else text,
            published=f"{theirs} ({number.language.title()})" if named and number else theirs,
            metric=table.datasets[place.dataset].metrics[place.metric],
            rank=cell.rank,
            complete=cell.statistic is not None and cell.statistic.summary is not None,
            notes=self.notes.number(note for note in cell.notes if note not in self.grid.notes),
            errata=self.notes.number(cell.errata),
            exact=_exact(table, place, cell),
            place=place,
            cell=cell,
            verdict=self.verdicts.get(place),
        )

    def _heading(self, panel: str, name: str, column: str, common: int) -> Heading:
        """With its metrics, where it shows more than every column does: `En (F1 / EM)`."""
        table, dataset = self.grid.target, self.grid.target.datasets[name]
        metrics = [dataset.metrics[metric] for metric in table.metrics(column, dataset)]
        more = f" ({' / '.join(metrics)})" if len(metrics) > common else ""
        over, label = table.over(column), table.columns[column].label
        named = language_names(table).get(over.printed(dataset), "") if label is None else ""
        short = (label or over.label(dataset)) + (self._lowest(panel, name, column) if over == LOWEST else "")
        return Heading(column, short + more, short, named)

    def _lowest(self, panel: str, name: str, column: str) -> str:
        """The lowest language, and the published one where that is another: ` (Ar)`, ` (Hi, published: Ar)`."""
        table = self.grid.target
        if table.lowest is None or name in table.own_lowest:
            return ""  # each cell names its own
        metrics = table.metrics(column, self.grid.target.datasets[name])
        lowest = [self.grid.cells[Place(panel, table.lowest, name, column, metric)] for metric in metrics]
        ours = {cell.language for cell in lowest if cell.language}
        theirs = {cell.published.language for cell in lowest if cell.published} - ours
        names = [*map(str.title, ours), *(f"published: {language.title()}" for language in sorted(theirs))]
        return f" ({', '.join(names)})" if names else ""


def language_names(target: Target) -> dict[str, str]:
    """The names of languages by their code, as the paper declares them; English alone where it has no such table."""
    declared = [table.names for table in target.paper.targets.values() if isinstance(table, Languages)]
    return {"en": "English", **{code: name for names in declared for code, name in names.items()}}


def _exact(target: Target, place: Place, cell: Cell) -> dict[str, object]:
    where, number = asdict(place), cell.published
    metric = where.pop("metric")
    exact = {"table": target.stem, **where, "language": cell.language, "metric": metric, **_measured(cell.statistic)}
    exact["rank"] = cell.rank and cell.rank.value
    exact |= {f"published_{name}": number and getattr(number, name) for name in ("mean", "std", "language")}
    return exact | {"note": "; ".join((*cell.notes, *cell.errata))}


def _measured(statistic: Statistic | None) -> dict[str, object]:
    """Mean and std in percent to six decimals, empty for an incomplete set."""
    if statistic is None:
        return dict.fromkeys(("mean", "std", "n", "declared"), "")
    mean, std = ("" if value is None else f"{value:.6f}" for value in (statistic.mean, statistic.std))
    return {"mean": mean, "std": std, "n": statistic.n, "declared": statistic.declared}


def _caption(grid: Grid) -> Iterator[str]:
    """What the numbers are over, and the notes that all of ours have; a sentence each."""
    table = grid.target
    lists = {(row, name): table.replicates_of(row, name) for row in table.rows for name in table.datasets}
    counted = Counter(replicates for replicates in lists.values() if replicates)
    usual = max(counted, key=counted.__getitem__, default=())
    parts = [f"Mean ± sample std over {_runs(usual)}" if len(usual) != 1 else f"Single runs ({usual[0]})"]
    for name, dataset in table.datasets.items():
        theirs = {lists[row, name] for row in table.rows} - {()}
        if len(theirs) == 1 and usual not in theirs:
            parts.append(f"on {dataset.label}: over {_runs(theirs.pop())}")
            lists |= dict.fromkeys(((row, name) for row in table.rows), usual)
    for row, group in table.rows.items():
        others = {name: lists[row, name] for name in table.datasets if lists[row, name] not in ((), usual)}
        if len(others) == len(table.datasets) and len(set(others.values())) == 1:
            parts.append(f"row {group.label}: over {_runs(next(iter(others.values())))}")
        else:
            parts += [f"row {group.label} on {table.datasets[n].label}: over {_runs(others[n])}" for n in others]
    over = [table.over(column) for column in table.columns]
    if any(each.average for each in over):
        parts.append(f"an average is over {'the target' if AVERAGE_WITH_SOURCE not in over else 'all'} languages")
    if not all(column.spread for column in table.columns.values()):
        parts.append("the std of a single language is in the CSV file")
    yield f"{'; '.join(parts)}."
    for group in (group for group in table.rows.values() if LANGUAGE in group.overrides):
        source = f", the source language from that of {group.source_from}" if SOURCE in over else ""
        yield f"{group.label}: each language is read from a run of its own{source}."
    if table.lowest is not None:
        own = " and ".join(grid.target.datasets[name].label for name in table.own_lowest)
        each = f"; {own}: of each row, named in the cell" if own else ""
        yield f"Lowest: the lowest target language of row {table.rows[table.lowest].label}{each}."
    if table.reference is not None:
        yield (
            f"− {table.rows[table.reference].label}: the difference of the last column, replicate by replicate. "
            "Updates and seconds of training are of all runs behind a number, MiB are the most memory of a process, "
            "parameters are the most that train at once."
        )
    declared = {len(replicates) for replicates in counted}
    told = f"n/{len(usual)}: only n" if len(declared) == 1 else "n/N: only n of N"
    if grid.complete < grid.numbers:
        yield "0/1: the run is missing." if declared == {1} else f"{told} runs have the value, so there is no mean yet."
    if table.published:
        quoted = " A quoted row is another paper's." if any(r.quoted for r in table.rows.values()) else ""
        yield f"Below each number the published one.{quoted}"
    for note in grid.notes:
        yield f"Every number of ours: {note}."


def _runs(replicates: Sequence[str]) -> str:
    """`4 runs (seed=0, …)`."""
    return f"{len(replicates)} run{'' if len(replicates) == 1 else 's'} ({', '.join(replicates)})"


@view.register
def of_settings(target: Settings, results: Results) -> View:
    """A table of hyperparameters or data sets: a part for each panel."""
    values, notes, parts = settings.fill(target), Footnotes(), []
    for panel, own in groupby(values, key=lambda value: value.panel):
        rows = {row: list(cells) for row, cells in groupby(own, key=lambda value: value.row)}
        headings = tuple(Heading(value.column, value.column, value.column) for value in next(iter(rows.values())))
        lines = [Line(row, tuple(_setting(target, value, notes) for value in cells)) for row, cells in rows.items()]
        parts.append(Part(panel, headings, tuple(lines)))
    compared = [value for value in values if value.printed]
    same = sum(not value.differs for value in compared)
    caption = "Ours are the values that runs get; below each row the printed ones, where the paper prints any."
    summary = f"{same} of {len(compared)} values as printed" if compared else "none of these values is printed"
    return View(target.stem, target.title, (caption,), tuple(parts), tuple(notes), same, len(compared), summary)


def _setting(target: Target, value: settings.Comparison, notes: Footnotes) -> Slot:
    exact = {"table": target.stem, "panel": value.panel, "row": value.row, "column": value.column, "value": value.text}
    exact |= {"published": value.printed, "differs": "yes" if value.differs else "", "note": "; ".join(value.errata)}
    item = Item(value.text, value.printed, differs=value.differs, errata=notes.number(value.errata), exact=exact)
    return Slot((item,))


@view.register
def of_correlation(target: Correlation, results: Results) -> View:
    """A table of correlations: one part, Pearson's r with its n and p beside Spearman's ρ."""
    datasets = [target.paper.datasets[name] for name in target.datasets]
    lines = [
        Line(row.label, tuple(_correlated(target, results, name, dataset) for dataset in target.datasets))
        for name, row in target.rows.items()
    ]
    headings = tuple(Heading(dataset.label, dataset.label, dataset.label) for dataset in datasets)
    caption = (
        f"Correlation over target languages of d² between the Fishers of {datasets[0].source} and the language with "
        f"transfer, the mean over {_runs(target.replicates)}: Pearson's r (n, two-sided p) / Spearman's ρ. "
        f"{'Below each the published coefficient. ' if target.published else ''}n/N: only n of N languages have both. "
        "Over the layers alone: in the CSV file."
    )
    complete = sum(slot.items[0].complete for line in lines for slot in line.slots)
    count = len(lines) * len(datasets)
    summary = f"{complete} of {count} correlations complete"
    part = Part("Fréchet distance", headings, tuple(lines))
    return View(target.stem, target.title, (caption,), (part,), (), complete, count, summary)


def _correlated(target: Correlation, results: Results, row: str, name: str) -> Slot:
    pairs, number = correlation.pairs(target, results, row, name), target.number(row, name)
    n, declared = len(pairs.transfers), pairs.declared
    text, measured = f"{n}/{declared}", dict.fromkeys(("r", "p", "rho", "p_rho", "r_layers", "rho_layers"), "")
    if pairs.complete:
        r, p, rho, p_rho = pairs.coefficients(pairs.squared)
        r_layers, _, rho_layers, _ = pairs.coefficients(pairs.squared_in_layers)
        values = (f"{value:.6f}" for value in (r, p, rho, p_rho, r_layers, rho_layers))
        measured = dict(zip(measured, values, strict=True))
        text = f"{r:.3f} (n={declared}, p{'<0.001' if p < 0.001 else f'={p:.3f}'}) / {rho:.3f}"
    exact = {"table": target.stem, "row": row, "dataset": name, "n": n, "declared": declared}
    exact |= {"published": number and number.mean, **measured}
    return Slot((Item(text, number.mean if number else "", complete=pairs.complete, exact=exact),))
