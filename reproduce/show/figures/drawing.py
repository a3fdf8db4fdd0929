"""Draws a figure from what was found of its runs, and writes it as PNG and PDF."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from fun.errors import FunError
from fun.results import Record
from reproduce.declare.figures import Groups, Orders, Relative, Traces
from reproduce.declare.papers import Target
from reproduce.declare.published import Published
from reproduce.numbers.cells import notes_on
from reproduce.runs.store import Found, Results
from reproduce.show.figures import groups, orders, relative, style, traces


def write(target: Target, results: Results, published: Published, folder: Path) -> list[Path]:
    """Draw a target's figure into `folder`, with the same bytes each time; return the files written.

    `results` are of `rows.look_up`. What is complete is drawn and what is missing is named on the figure; there
    is no mean over a part of the declared runs. Raises FunError where no run of the figure is there.
    """
    if not _served(target, results):
        raise FunError(f"{target.name} has nothing to draw: none of its {len(results)} runs is there.")
    with matplotlib.rc_context(style.LOOK):
        return style.save(draw(target, results, published), folder / target.name)


def draw(target: Target, results: Results, published: Published) -> Figure:
    """A target's figure from what was found of its runs; what it mixes, and marked records, are named in its title."""
    figure = _draw(target, results, published)
    if notes := notes_on(_served(target, results)):
        figure.suptitle(f"{target.figure.title}\n({'; '.join(notes)})", fontsize=style.TITLE)
    return figure


def _draw(target: Target, results: Results, published: Published) -> Figure:
    match target.figure:
        case Relative() as declared:
            return relative.draw(declared, target.paper, results, published)
        case Traces() as declared:
            return traces.draw(declared, target.paper, results)
        case Groups() as declared:
            return groups.draw(declared, target.paper, results)
        case Orders() as declared:
            return orders.draw(declared, target.paper, results)


def _served(target: Target, results: Results) -> list[Record]:
    """The records that are drawn: a run that lacks a language of one test set still has a bar for another."""
    found = [result for result in results.values() if isinstance(result, Found)]
    return [run.record for run in found if not run.lacks or isinstance(target.figure, Relative)]
