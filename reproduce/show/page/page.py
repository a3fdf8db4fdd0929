"""Sets the page: one HTML file that needs nothing else, with the same bytes for the same results."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reproduce.declare.figures import Figure
from reproduce.declare.papers import Margin, Target
from reproduce.numbers.claims import RULES
from reproduce.runs.store import needed_runs
from reproduce.show.page import claims, upkeep, wording
from reproduce.show.page.figures import FigureView, figure_view
from reproduce.show.page.glance import Progress, glance
from reproduce.show.page.material import Material
from reproduce.show.page.tables import SettingsView, TableView, settings_view, table_view
from reproduce.show.page.upkeep import Reason

TEMPLATES = Path(__file__).with_name("templates")

FIRST = (
    ("Three schedules on the miniature world, in minutes and without a GPU", "make demo"),
    ("Table 1 on the miniature world, with every run of it", "python -m reproduce run table1 --model micro"),
    ("What the paper’s Table 1 needs, and what is known of it", "python -m reproduce plan table1"),
    ("The same on a SLURM cluster; shows the jobs", "python -m reproduce submit table1 --profile a100 --dry-run"),
    ("This page again, for the miniature world", "python -m reproduce report --model micro"),
)
"""What to type where nothing has run yet, and what for."""


@dataclass(frozen=True)
class Section:
    """A target on the page; `view` is its table, settings or figure, as `kind` says. `damaged` are runs of a figure."""

    target: Target
    kind: str
    title: str
    view: TableView | SettingsView | FigureView
    progress: Progress
    damaged: tuple[Reason, ...]

    @property
    def short(self) -> str:
        """What it is called in a list: `Table 1` where it has a number, without what all of a miniature's say."""
        title = self.title.replace(" on the miniature world", "")
        numbered = title.partition(":")[0]
        return numbered if numbered[-1].isdigit() else title


def build(material: Material) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, seen = _asset("page.js"), glance(material)
    return environment.get_template("page.html").render(
        material=material,
        style=_asset("page.css"),
        script=script,
        script_digest=_digest(script),
        glance=seen,
        sections=[_section(material, progress) for progress in seen.progress],
        claims=[claims.claim_view(checked) for checked in material.checked],
        lacking=upkeep.lacking(material.entries, material.root),
        compute=upkeep.compute(material.records),
        own_values=upkeep.own_values(material.entries),
        verdicts=wording.VERDICTS,
        claim_results=wording.RESULTS,
        assumptions=material.paper.assumptions,
        rules=RULES,
        margins=_margins(material),
        first=FIRST,
        count=wording.count,
    )


def _section(material: Material, progress: Progress) -> Section:
    target = next(target for target in material.targets if target.name == progress.name)
    results, kind = material.results[target.name], material.kind(target)
    view: TableView | SettingsView | FigureView
    match kind:
        case "table":
            view = table_view(material.grids[target.name], material.verdicts[target.name], results, material.root)
        case "settings":
            view = settings_view(material.sheets[target.name])
        case _:
            assert isinstance(target, Figure)
            view = figure_view(material, target)
    damaged = upkeep.damaged(needed_runs(target), results, material.root) if kind == "figure" else ()
    return Section(target, kind, progress.title, view, progress, damaged)


def _margins(material: Material) -> list[tuple[list[str], Margin]]:
    """Each margin once, with the metrics that it is for."""
    metrics: dict[tuple[float, str], list[str]] = {}
    for metric, margin in material.paper.margins.items():
        metrics.setdefault((margin.points, margin.reason), []).append(metric)
    return [(names, material.paper.margins[names[0]]) for names in metrics.values()]


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Names the one script that a browser may run on the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"
