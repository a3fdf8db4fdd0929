"""Sets the pages: HTML files that need nothing else, with the same bytes for the same results."""

import base64
import hashlib
from collections import Counter
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
from reproduce.show.page.material import Material, gather, miniatures


def digest(script: str) -> str:
    """Names the one script that a browser may run on the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


PAGES = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
PAGES.loader = FileSystemLoader(Path(__file__).with_name("templates"))
PAGES.globals |= {"rules": RULES, "fewest": FEWEST, "sweeps": sweeps, "hours_left": hours}
PAGES.globals |= {"conclusions_of_verdicts": tuple(Conclusion), "results_of_claims": tuple(Result)}
PAGES.filters |= {"digest": digest, "signed": lambda difference: signed(difference).replace("-", "−")}


def write(papers: list[Paper], chosen: list[Paper], model: str | None, store: Store, folder: Path) -> list[Path]:
    """Write each chosen paper's page, or its miniature's, and an index of the folder; return the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for paper in chosen:
        written.append(folder / f"{paper.name}-{model}.html" if model else folder / f"{paper.name}.html")
        written[-1].write_text(build(gather(paper, model, store)), encoding="utf-8")
    pages = {}
    for paper in papers:
        names = [paper.name, *(f"{paper.name}-{miniature}" for miniature in miniatures(paper, claims.load(paper)))]
        pages[paper.name] = [name for name in names if (folder / f"{name}.html").exists()]
    index = PAGES.get_template("index.html").render(papers=papers, pages=pages)
    written.append(folder / "index.html")
    written[-1].write_text(index, encoding="utf-8")
    return written


def build(material: Material) -> str:
    """A paper's page as HTML."""
    states = material.states
    metrics: dict[tuple[float, str], list[str]] = {}  # of each margin
    for metric, margin in material.paper.margins.items():
        metrics.setdefault((margin.points, margin.reason), []).append(metric)
    return PAGES.get_template("page.html").render(
        material=material,
        done=states.pop("", 0),
        states=states,
        conclusions=sum((each.conclusions for each in material.sections), Counter[Conclusion]()),
        notes=notes_on(material.records),
        margins=[(names, points, reason) for (points, reason), names in metrics.items()],
    )
