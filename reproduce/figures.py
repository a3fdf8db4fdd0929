"""Figures from finished runs: unfreezing orders, and tr(F) over training. Written as PNG and PDF."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fun.errors import FunError
from reproduce.papers import Target
from reproduce.plan import Found, Needed, Results, command, needed_runs, replicates


class Style(NamedTuple):
    """How a line looks: its colour, line style and marker, and the marker as a character for its label."""

    color: str
    line: str
    marker: str
    glyph: str


# Okabe and Ito's colours, which the colour-blind can tell apart; line styles and markers serve in grey.
STYLES = (
    Style("#0072B2", "-", "o", "●"),
    Style("#D55E00", "--", "s", "■"),
    Style("#009E73", "-.", "^", "▲"),
    Style("#000000", ":", "D", "◆"),
)

LABEL_LAYERS = 0.7
"""The height of a label, in layers."""

ESTIMATORS = {
    "exact": "exact, per example (Eq. 1)",
    "algorithm2": "Algorithm 2, batch-mean gradients",
    "official": "the authors' code, argmax labels",
}


@dataclass(frozen=True)
class Panel:
    """What one figure shows: the runs of a model for the datasets that share them, by row and replicate."""

    name: str
    title: str
    runs: Mapping[str, Mapping[str, Found]]  # row label -> replicate -> run


def draw(kind: str, target: Target, results: Results, folder: Path) -> list[Path]:
    """Draw a target's figure of this kind from `results`, and return the files written.

    Raises FunError, with the commands to type, unless every run is there; and where the target declares no
    such figure.
    """
    figures = target.table.figures
    render: Callable[[Panel], Figure]
    if kind == "orders" and figures.orders:
        rows, render = figures.orders, draw_orders
    elif kind == "trace" and figures.trace:
        rows, render = figures.trace.rows, partial(draw_trace, window=figures.trace.window)
    else:
        raise FunError(f"{target.name} declares no figure '{kind}': declare figures.{kind} in its papers/*.yaml.")
    _require(kind, target, results, rows)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for panel in _panels(target, results, rows):
        with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
            figure = render(panel)
        for suffix, undated in (("png", "Software"), ("pdf", "CreationDate")):
            path = folder / f"{target.name}-{kind}-{panel.name}.{suffix}"
            figure.savefig(path, dpi=150, metadata={undated: None})
            written.append(path)
        plt.close(figure)
    return written


def draw_orders(panel: Panel) -> Figure:
    """When each layer opens (paper, Figure 5): one part per schedule, one line per replicate."""
    figure, parts = plt.subplots(
        1,
        len(panel.runs),
        figsize=(4.2 * len(panel.runs), 3.8),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for part, (row, runs) in zip(parts[0], panel.runs.items(), strict=True):
        _draw_openings(part, runs)
        part.set_title(row, fontsize=10)
        part.set_xlabel("update")
    parts[0][0].set_ylabel("layer that opens (higher is nearer the output)")
    figure.suptitle(f"Unfreezing orders, {panel.title}", fontsize=11)
    return figure


def draw_trace(panel: Panel, window: int) -> Figure:
    """tr(F) along training (paper, Figure 3): a thin line per replicate, the smoothed mean thick."""
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    estimators: set[str] = set()
    for style, (row, runs) in zip(cycle(STYLES), panel.runs.items(), strict=False):
        logs = [[line for line in run.run.metrics_log() if line["kind"] == "fisher"] for run in runs.values()]
        estimators |= {line["estimator"] for log in logs for line in log}
        # No mean before the first layer opens (lpft), nor where tr(F) was not finite.
        traces = [{line["update"]: line["mean_open"] for line in log if line["mean_open"] is not None} for log in logs]
        look: dict[str, Any] = {"color": style.color, "linestyle": style.line}
        for trace in traces:
            axes.plot(list(trace), list(trace.values()), **look, linewidth=0.7, alpha=0.5)
        axes.plot(*moving_average(traces, window), **look, linewidth=2.2, label=row)
    axes.set_yscale("log")
    axes.set_xlabel("update")
    names = "; ".join(ESTIMATORS[name] for name in sorted(estimators))
    axes.set_ylabel(f"mean tr(F) of the open layers\n({names})")
    axes.legend(frameon=False, title=f"thin: each run; thick: their mean, moving average over {window} points")
    axes.set_title(f"tr(F) over training, {panel.title}", fontsize=11)
    return figure


def moving_average(traces: Sequence[Mapping[int, float]], window: int) -> tuple[list[int], list[float]]:
    """The traces' mean at the updates that all have, averaged over `window` neighbouring points.

    Each average stands at the middle of its window; there is none where the window would be cut off.
    Raises FunError for fewer points than the window.
    """
    common = sorted(set.intersection(*(set(trace) for trace in traces)))
    if len(common) < window:
        raise FunError(f"tr(F) was tracked at {len(common)} common updates; the moving average needs {window}.")
    means = [fmean(trace[update] for trace in traces) for update in common]
    starts = range(len(common) - window + 1)
    middles = [common[start + window // 2] for start in starts]
    return middles, [fmean(means[start : start + window]) for start in starts]


def _draw_openings(part: Axes, runs: Mapping[str, Found]) -> None:
    orders: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for replicate, run in runs.items():
        order = tuple((opening["update"], layer) for opening in run.record.unfreezing for layer in opening["layers"])
        orders.setdefault(order, []).append(replicate)
    ends = []
    for index, (style, (points, names)) in enumerate(zip(cycle(STYLES), orders.items(), strict=False)):
        shift = 0.12 * (index - (len(orders) - 1) / 2)  # keeps lines that share a stretch apart
        updates = [update for update, _ in points]
        heights = [layer + shift for _, layer in points]
        look: dict[str, Any] = {"color": style.color, "linestyle": style.line, "marker": style.marker}
        part.plot(updates, heights, **look, markersize=4.5, linewidth=1.1)
        name = "all runs" if 1 < len(names) == len(runs) else ", ".join(names).replace("=", " ")
        ends.append((heights[-1], updates[-1], f"{style.glyph} {name}", style.color))
    _label_ends(part, ends)
    part.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
    part.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    part.grid(axis="y", linewidth=0.3)


def _label_ends(part: Axes, ends: Sequence[tuple[float, int, str, str]]) -> None:
    """Name each line (height, update, name, colour) at its end; a label that would cover another moves up."""
    free = float("-inf")
    for height, update, name, color in sorted(ends):
        free = max(height, free)
        part.annotate(name, (update, free), xytext=(8, 0), textcoords="offset points", va="center", color=color)
        free += LABEL_LAYERS
    part.margins(x=0.06)
    left, right = part.get_xlim()
    part.set_xlim(left, right + 0.3 * (right - left))


def _panels(target: Target, results: Results, rows: Sequence[str]) -> list[Panel]:
    table = target.table
    panels = []
    for name, group in table.panels.items():
        sharing: dict[str, list[str]] = {}
        for dataset, declared in target.datasets.items():
            sharing.setdefault(declared.overrides, []).append(dataset)
        for datasets in sharing.values():
            runs = {row: _runs(target, results, name, row, datasets[0]) for row in rows}
            labels = ", ".join(target.datasets[dataset].label for dataset in datasets)
            labelled = {table.rows[row].label: found for row, found in runs.items()}
            panels.append(Panel(f"{name}-{'-'.join(datasets)}", f"{group.label}, {labels}", labelled))
    return panels


def _runs(target: Target, results: Results, panel: str, row: str, dataset: str) -> dict[str, Found]:
    found = (results[run] for run in replicates(target, panel, row, dataset))
    pairs = zip(target.table.replicates, found, strict=True)
    return {replicate: result for replicate, result in pairs if isinstance(result, Found)}


def _require(kind: str, target: Target, results: Results, rows: Sequence[str]) -> None:
    wanted = {
        run
        for panel in target.table.panels
        for row in rows
        for dataset in target.datasets
        for run in replicates(target, panel, row, dataset)
    }
    absent = [n for n in needed_runs(target) if n.overrides in wanted and not _serves(kind, n, results)]
    if absent:
        commands = "\n".join(command(needed.arguments) for needed in absent)
        raise FunError(
            f"figure {kind} of {target.name} needs {len(absent)} more of {len(wanted)} runs: type "
            f"python -m reproduce run {target.name}, or\n{commands}"
        )


def _serves(kind: str, needed: Needed, results: Results) -> bool:
    result = results[needed.overrides]
    return isinstance(result, Found) and (kind != "trace" or result.record.tracking["fisher_every"] > 0)
