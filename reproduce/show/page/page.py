"""Sets the pages: HTML files that need nothing else, with the same bytes for the same results."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reproduce.declare import claims
from reproduce.declare.papers import Paper
from reproduce.numbers.cells import notes_on
from reproduce.numbers.claims import RULES, Result
from reproduce.numbers.verdicts import FEWEST, Conclusion
from reproduce.runs.plan import hours
from reproduce.runs.store import Store, sweeps
from reproduce.show.explain import signed
from reproduce.show.page import upkeep
from reproduce.show.page.material import Material, gather, miniatures


def write(
    papers: Sequence[Paper], chosen: Sequence[Paper], model: str | None, store: Store, folder: Path
) -> list[Path]:
    """The page of each chosen paper, or of its miniature, and the index of all; return the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for paper in chosen:
        material = gather(paper, model, store)
        written.append(folder / f"{material.name}.html")
        written[-1].write_text(build(material), encoding="utf-8")
    written.append(folder / "index.html")
    written[-1].write_text(index(papers, folder), encoding="utf-8")
    return written


def index(papers: Sequence[Paper], folder: Path) -> str:
    """A page that links the pages of a folder: each paper's, and those of its miniatures."""
    pages = {
        paper.name: [
            name
            for name in (paper.name, *(f"{paper.name}-{model}" for model in miniatures(paper, claims.load(paper))))
            if (folder / f"{name}.html").exists()
        ]
        for paper in papers
    }
    return _environment().get_template("index.html").render(papers=papers, pages=pages)


def build(material: Material) -> str:
    """A paper's page as HTML."""
    states, missing = upkeep.states(material.entries), upkeep.missing(material.entries)
    page = _environment().get_template("page.html")
    return page.render(
        material=material,
        paper=material.paper,
        sections=material.sections,
        done=states.pop("", 0),
        states=states,
        conclusions=sum((each.conclusions for each in material.sections), Counter[Conclusion]()),
        missing=missing,
        startable=[entry for entry in missing if entry.startable],
        notes=notes_on(material.records),
        margins=_margins(material.paper),
    )


def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"signed": lambda difference: signed(difference).replace("-", "−"), "digest": _digest}
    pages.globals |= {
        "rules": RULES,
        "sweeps": sweeps,
        "reasons": upkeep.reasons,
        "startable_sweeps": upkeep.startable_sweeps,
        "by_device": upkeep.by_device,
        "hours_left": hours,
        "fewest": FEWEST,
        "conclusions_of_verdicts": tuple(Conclusion),
        "results_of_claims": tuple(Result),
    }
    return pages


def _margins(paper: Paper) -> list[tuple[list[str], float, str]]:
    """Each margin once, with the metrics that it is for."""
    metrics: dict[tuple[float, str], list[str]] = {}
    for metric, margin in paper.margins.items():
        metrics.setdefault((margin.points, margin.reason), []).append(metric)
    return [(names, points, reason) for (points, reason), names in metrics.items()]


def _digest(script: str) -> str:
    """Names the one script that a browser may run on the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"
