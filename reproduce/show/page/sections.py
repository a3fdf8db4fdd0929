"""What the page shows of each target: how far it is, its table or image, and the runs behind its numbers."""

import base64
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from fun.errors import FunError
from reproduce.declare.figures import Figure
from reproduce.declare.papers import Target
from reproduce.declare.tables import Place, Table
from reproduce.numbers import cells
from reproduce.numbers.cells import Grid
from reproduce.numbers.explain import Behind, behind, below, languages_of
from reproduce.numbers.verdicts import Conclusion, verdicts
from reproduce.runs.store import Done, Results
from reproduce.show.figures import drawing, style
from reproduce.show.view import Item, View, language_names, of_results, view

SALT: dict[Any, Any] = {"svg.hashsalt": "fun"}
"""matplotlib names parts of an SVG at random unless it is given a salt."""

POINTS = 80
"""Pixels of the page to an inch of a figure: its 9 points are then as large as the page's small print."""


class Values(NamedTuple):
    """A row of what is behind numbers: a value per run. `item` is None for a language that no number is about."""

    label: str
    values: tuple[float | None, ...]
    item: Item | None


@dataclass(frozen=True)
class Runs:
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


def section(target: Target, results: Results, root: Path) -> Section:
    """What is shown of a target; `results` are those of its runs, below `root`."""
    done = sum(isinstance(result, Done) and not result.lacks for result in results.values())
    startable = sum(result.startable for result in results.values())
    if isinstance(target, Figure):
        content = _image(target, results, root)
    elif isinstance(target, Table):
        grid = cells.fill(target, results)
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
        with matplotlib.rc_context({**style.LOOK, **SALT}):
            sheet, file = drawn.draw(), io.BytesIO()
            sheet.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    except FunError as error:  # tr(F) of estimators that do not compare, or at updates that differ
        return {"reason": below(root, str(error))}
    image = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return {"image": image, "width": round(sheet.get_figwidth() * POINTS)}


def _behind(grid: Grid, results: Results, laid_out: View, root: Path) -> Iterator[Runs]:
    """Numbers that come from the same runs of a row and data set stand together."""
    table, items, names = grid.target, {item.place: item for item in laid_out.items}, language_names(grid.target)
    groups: dict[tuple[object, ...], list[tuple[Place, list[Behind]]]] = {}
    for place in grid.cells:
        runs = list(behind(grid, results, place, root))
        key = (place.panel, place.dataset, place.row, *(run.run_id for run in runs))
        groups.setdefault(key, []).append((place, runs))
    for group in groups.values():
        place, runs = group[0]
        if not runs:  # a quoted row
            continue
        dataset = table.datasets[place.dataset]
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
        labels = (table.panels[place.panel].label, table.rows[place.row].label, dataset.label)
        yield Runs(" · ".join(filter(None, labels)), tuple(group[0][1]), (*numbers, *languages))
