"""Sets the pages: HTML files that need nothing else, with the same bytes for the same results."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reproduce.declare import claims
from reproduce.declare.papers import Paper
from reproduce.numbers.cells import notes_on
from reproduce.numbers.claims import RULES, Checked, Result
from reproduce.numbers.verdicts import FEWEST, Conclusion
from reproduce.runs.plan import hours
from reproduce.runs.store import Store, sweeps
from reproduce.show.page import upkeep, wording
from reproduce.show.page.material import Material, gather, miniatures
from reproduce.show.page.sections import Section

TEMPLATES = Path(__file__).with_name("templates")


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
    pages = {paper.name: [name for name in _names(paper) if (folder / f"{name}.html").exists()] for paper in papers}
    return _environment().get_template("index.html").render(papers=papers, pages=pages, style=_asset("page.css"))


def _names(paper: Paper) -> list[str]:
    return [paper.name, *(f"{paper.name}-{model}" for model in miniatures(paper, claims.load(paper)))]


def build(material: Material) -> str:
    """A paper's page as HTML."""
    states = upkeep.states(material.entries)
    missing = upkeep.missing(material.entries)
    return (
        _environment()
        .get_template("page.html")
        .render(
            material=material,
            paper=material.paper,
            style=_asset("page.css"),
            script=_asset("page.js"),
            sections=material.sections,
            done=states.pop("", 0),
            states=states,
            conclusions=_conclusions(material.sections),
            results=_results(material.checked),
            judged_on_paper=any(checked.published for checked in material.checked),
            missing=missing,
            startable=[entry for entry in missing if entry.startable],
            notes=notes_on(material.records),
            rules=RULES,
            margins=_margins(material.paper),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (wording.number, wording.spaced, wording.bounds, wording.difference, wording.probability, wording.sentence)
    environment.filters |= {word.__name__: word for word in (*words, anchor, digest)}
    called = (wording.count, sweeps, upkeep.reasons, upkeep.startable_sweeps, upkeep.by_device)
    environment.globals |= {function.__name__: function for function in called} | {
        "hours_left": hours,
        "fewest": FEWEST,
        "conclusions_of_verdicts": tuple(Conclusion),
        "results_of_claims": tuple(Result),
    }
    return environment


def anchor(item: Any, stem: str) -> str:
    """A name for a number that is fit for an address."""
    place = item.place
    return ".".join((stem, place.panel, place.row, place.dataset, place.column, place.metric))


def _conclusions(sections: Sequence[Section]) -> Mapping[Conclusion, int]:
    """Every verdict's number, also of those that are none; nothing where there are no verdicts at all."""
    counted = sum((each.conclusions for each in sections), Counter[Conclusion]())
    return {conclusion: counted[conclusion] for conclusion in Conclusion} if counted else {}


def _results(checked: Iterable[Checked]) -> Mapping[Result, tuple[int, int]]:
    """How many claims have which result by our runs, and by the printed numbers."""
    ours = Counter(claim.ours.result for claim in checked)
    printed = Counter(claim.published.result for claim in checked if claim.published)
    return {result: (ours[result], printed[result]) for result in Result if ours[result] or printed[result]}


def _margins(paper: Paper) -> list[tuple[list[str], float, str]]:
    """Each margin once, with the metrics that it is for."""
    metrics: dict[tuple[float, str], list[str]] = {}
    for metric, margin in paper.margins.items():
        metrics.setdefault((margin.points, margin.reason), []).append(metric)
    return [(names, points, reason) for (points, reason), names in metrics.items()]


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def digest(script: str) -> str:
    """Names the one script that a browser may run on the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"
