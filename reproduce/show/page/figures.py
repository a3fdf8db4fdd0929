"""Figures as the page shows them: drawn as SVG inside the page, with what they show in words."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib

from fun.errors import FunError
from reproduce.declare.figures import Figure
from reproduce.numbers.explain import below
from reproduce.show.figures import drawing as drawings
from reproduce.show.figures import style
from reproduce.show.page.material import Material

SALT: dict[Any, Any] = {"svg.hashsalt": "fun"}
"""matplotlib names parts of an SVG at random unless it is given a salt."""


@dataclass(frozen=True)
class FigureView:
    """A figure as an address that holds the whole image; where there is none, `reason` says why."""

    image: str
    width: int
    description: str
    reason: str


def figure_view(material: Material, target: Figure) -> FigureView:
    """Draw a figure from what was found of its runs."""
    results, description = material.results[target.name], _description(target)
    drawing = drawings.drawing(target, results)
    if not drawing.served:
        reason = f"Nothing to draw yet: none of its {len(results)} runs has what it shows."
        return FigureView("", 0, description, reason)
    try:
        with matplotlib.rc_context({**style.LOOK, **SALT}):
            figure = drawing.draw()
            file = io.BytesIO()
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
            width = round(figure.get_figwidth() * POINTS)
    except FunError as error:  # tr(F) of estimators that do not compare, or at updates that differ
        return FigureView("", 0, description, below(material.root, str(error)))
    image = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return FigureView(image, width, description, "")


POINTS = 80
"""Pixels of the page to an inch of a figure: its 9 points are then as large as the page's small print."""


def _description(target: Figure) -> str:
    """For those who do not see it: what is drawn, for what, and which ways of training."""
    parts = "; ".join(part.label for part in target.parts.values())
    rows = ", ".join(row.label for row in target.rows.values())
    return f"{target.title}. Parts: {parts}. Lines or bars: {rows}."
