"""The page in a real browser, in four states; what it says; and what leads from a number to its runs."""

import html
import itertools
import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fun.errors import ConfigError, RunError
from fun.inputs import compose, run_folder
from fun.results import RunFolder
from reproduce.__main__ import main
from reproduce.commands import COMMANDS, options
from reproduce.commands.options import Parser
from reproduce.declare import papers
from reproduce.numbers import explain
from reproduce.numbers.verdicts import Conclusion
from reproduce.runs.store import Store, configuration
from reproduce.show.page.material import Material, gather
from reproduce.show.page.page import build
from tests import synthetic
from tests.browser import Browser, browser
from tests.conftest import ROOT

KNOWN = papers.targets()
PAPER = KNOWN["table1"].paper
STATES = ("complete", "fresh", "half", "miniature")
WIDTHS = (360, 820, 1400)

# Runs of mBERT on SQuAD that the half-finished state spoils, each in its own way: their seed, and what is said of it.
SPOILT = {
    "std": (0, "expected sha256:"),
    "rand": (1, "expected 2, which this code reads"),
    "gu": (2, "but without xquad in th"),
    "fun": (3, "several folders have this run_id, and they do not hold the same"),
}


@dataclass(frozen=True)
class Page:
    """A page that was built, what it was built from, and its file."""

    material: Material
    text: str
    file: Path


def squad_run(root: Path, schedule: str, seed: int, model: str = "mbert") -> RunFolder:
    overrides = (
        f"model={model}",
        "task=squad",
        "adapter=madx",
        "data_size=full",
        f"schedule={schedule}",
        f"seed={seed}",
    )
    config = configuration(overrides)
    return run_folder(config, root)


def spoil(root: Path) -> None:
    """Half of a results folder: XLM-R's second half was not run yet, and four runs are not as they should be."""
    for seed in (2, 3):
        for path in (root / "runs").glob(f"*/xlmr/*-s{seed}-*"):
            shutil.rmtree(path)
    ways = {
        "std": synthetic.alter_a_byte,
        "rand": synthetic.make_older,
        "gu": lambda run: synthetic.remove_language(run, "xquad", "th"),
        "fun": synthetic.copy_with_other_values,
    }
    for schedule, spoiling in ways.items():
        spoiling(squad_run(root, schedule, SPOILT[schedule][0]))
    with pytest.raises(RunError), squad_run(root, "lpft", 0).begin():
        raise RunError("the loss is not finite in update 7")


def track(run: RunFolder) -> None:
    """As if tr(F) had been tracked for a figure, and the step log was lost since."""
    record = run.record()
    tracking, files = {**record.tracking, "fisher_every": 40}, {"metrics.jsonl": f"sha256:{'0' * 64}"}
    changed = synthetic.resealed(record, tracking=tracking, files=files)
    (run.path / "record.json").write_text(json.dumps(changed.to_json()))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The pages of all states."""
    roots = {state: tmp_path_factory.mktemp(state) / "results" for state in STATES}
    synthetic.write_records(roots["complete"], synthetic.measured(PAPER))
    shutil.copytree(roots["complete"], roots["half"])
    spoil(roots["half"])
    demo = KNOWN["demo"]
    languages = demo.paper.datasets["micronli"].languages
    values = {language: {"accuracy": 50.0 + place} for place, language in enumerate(languages)}
    synthetic.write_records(roots["miniature"], {run.overrides: {"micronli": values} for run in demo.needed()}, ())
    track(
        RunFolder(*next((folder, folder.name[-16:]) for folder in roots["miniature"].glob("runs/*/*/madx-gu-*-s0-*")))
    )
    built = {}
    for state, root in roots.items():
        material = gather(PAPER, "micro" if state == "miniature" else None, Store(root, allow_marked=True))
        text, file = build(material), root.parent / f"{state}.html"
        file.write_text(text, encoding="utf-8")
        built[state] = Page(material, text, file)
    return built


# --- in a browser ---------------------------------------------------------------------------------------------

STRUCTURE = """(() => {
  const problems = [];
  const say = (what, node) => problems.push(`${what}: ${node.id || node.outerHTML.slice(0, 150)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = new Set();
  for (const node of all("[id]")) { if (seen.has(node.id)) say("twice the same id", node); seen.add(node.id); }
  for (const link of all("a")) {
    const address = link.getAttribute("href");
    if (address !== "index.html" && (!address.startsWith("#") || !seen.has(decodeURIComponent(address.slice(1))))) say("leads nowhere", link);
    if (!link.textContent.trim()) say("link without text", link);
  }
  for (const table of all("table")) if (!table.caption?.textContent.trim()) say("table without caption", table);
  for (const head of all("th")) if (!head.scope || !head.textContent.trim()) say("head without scope or text", head);
  for (const image of all("img")) if (image.alt.length < 20 || !image.naturalWidth) say("image not shown or told", image);
  for (const region of all(".scroll")) if (!region.ariaLabel || region.tabIndex) say("not for the keyboard", region);
  const levels = all("h1, h2, h3, h4").map((head) => [Number(head.tagName[1]), head]);
  levels.forEach(([level, head], i) => { if (level > (i ? levels[i - 1][0] : 0) + 1) say("heading level left out", head); });
  if (all("h1").length !== 1 || all("main").length !== 1 || all("nav[aria-label]").length !== 1) problems.push("landmarks");
  if (document.documentElement.lang !== "en") problems.push("lang");
  if (all("[src]:not([src^='data:']), link, iframe, object, [srcset]").length) problems.push("loads something");
  for (const verdict of all(".verdict")) if (!/[a-z≠]/.test(verdict.textContent)) say("colour alone", verdict);
  for (const cell of all(".results td")) if (/[–-]\\s*\\d/.test(cell.textContent)) say("a mark that reads as a minus", cell);
  return problems;
})()"""

CONTRAST = """(() => {
  const light = (color) => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$|transparent/.test(color)) return color;
    }
  };
  const low = new Map();
  const kinds = new Map();
  for (const node of document.body.querySelectorAll("*")) {
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const kind = `${node.tagName}.${node.className} in ${node.parentElement.className}`;
    if (!text || kinds.has(kind)) continue;
    kinds.set(kind, true);
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.set(kind, ratio);
  }
  return [[...low], light(getComputedStyle(document.body).backgroundColor)];
})()"""


LESS = ("fresh", "miniature")
"""What a browser shows of these is among what it shows of the others."""


@pytest.fixture(scope="module", params=[pytest.param(s, marks=[pytest.mark.long] * (s in LESS)) for s in STATES])
def opened(
    pages: dict[str, Page], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser with the page of a state."""
    with browser(tmp_path_factory.mktemp("profile")) as shown:
        shown.open(pages[request.param].file)
        yield shown


def test_nothing_is_loaded_and_nothing_complains(opened: Browser) -> None:
    requested = [event["request"]["url"] for event in opened.told("Network.requestWillBeSent")]
    assert [url for url in requested if not url.startswith(("file:", "data:image/svg+xml"))] == []
    assert len([url for url in requested if url.startswith("file:")]) == 1
    assert opened.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []


def test_every_link_leads_somewhere_and_the_page_reads_aloud(opened: Browser) -> None:
    assert opened.evaluate(STRUCTURE) == []


def test_nothing_is_wider_than_the_screen(opened: Browser) -> None:
    for unfolded in ("false", "true"):
        opened.evaluate(f"document.querySelectorAll('details').forEach((part) => {{ part.open = {unfolded}; }})")
        for width in WIDTHS:
            opened.view(width)
            assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_light_and_dark_can_be_read(opened: Browser) -> None:
    opened.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    grounds = []
    for dark in (False, True):
        opened.view(1400, dark=dark)
        low, ground = opened.evaluate(CONTRAST)
        assert low == []
        grounds.append(ground)
    assert grounds[0] > 0.9
    assert grounds[1] < 0.02


def test_a_number_leads_to_its_runs_and_back(pages: dict[str, Page], tmp_path: Path) -> None:
    name = "table1.mbert.gu.xquad.average.f1"
    with browser(tmp_path) as shown:
        shown.open(pages["complete"].file)
        shown.view(820)
        shown.evaluate(f"document.getElementById('{name}').querySelector('a').click()")
        row = f"document.getElementById('runs-{name}')"
        inside = f"(() => {{ const box = {row}.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight && box.height > 0; }})()"
        assert shown.evaluate(f"new Promise((done) => setTimeout(() => done({inside}), 200))")
        values = re.findall(r"\d\d\.\d\d", shown.evaluate(f"{row}.innerText"))
        shown.evaluate(f"{row}.querySelector('a').click()")
        assert shown.evaluate("location.hash") == f"#{name}"
    runs = [squad_run(pages["complete"].material.root, "gu", seed).record() for seed in range(4)]
    targets = PAPER.datasets["xquad"].targets
    averages = [sum(run.metrics["xquad"][language]["f1"] for language in targets) / len(targets) for run in runs]
    assert values[:4] == [f"{average:.2f}" for average in averages]
    assert values[4:5] == ["63.48"]  # as the paper prints it


# --- what it says ---------------------------------------------------------------------------------------------


def cells(page: Page) -> dict[str, str]:
    """The text of every number's cell by its anchor, on one line."""
    found = re.findall(r'<td id="((?:table|demo)[^"]+)">(.*?)</td>', page.text, flags=re.DOTALL)
    return {name: " ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for name, cell in found}


def section(page: Page, name: str) -> str:
    return re.split(f'<section (?:class="target" )?id="{name}"', page.text)[1].split("<section ")[0]


def test_every_number_of_the_complete_set_stands_beside_the_printed_one(pages: dict[str, Page]) -> None:
    shown = cells(pages["complete"])
    results = [section.view for section in pages["complete"].material.sections if section.view and section.runs]
    assert len(shown) == sum(view.count for view in results)
    assert sum(" printed " in text for text in shown.values()) == 912
    assert not any(re.match(r"\d/\d", text) for text in shown.values())
    assert shown["table1.mbert.gu.xquad.average.f1"] == (
        "63.48 ± 0.22 (best) 95 % interval [63.13, 63.83] printed 63.48 ± 0.22 ✓ reproduced difference 0.00"
    )
    assert "printed 61.31 ± 0.46" in shown["table1.xlmr.std.mlqa.average.f1"]  # erratum F1: a footnote
    assert "difference +0.06" in shown["table1.xlmr.std.mlqa.average.f1"]
    assert ">the six languages of Table 8 average 61.37</li>" in pages["complete"].text


def test_the_glance_counts_what_the_tables_say(pages: dict[str, Page]) -> None:
    for state in ("complete", "fresh", "half"):
        said = Counter()  # type: Counter[str]
        for text in cells(pages[state]).values():
            for conclusion in Conclusion:
                said[conclusion.value] += text.count(f" {conclusion.value}")
        counted = re.findall(r"</span> ([a-z ]+)</span></dt><dd>(\d+)</dd>", section(pages[state], "glance"))
        assert {name: int(count) for name, count in counted} == {c.value: said[c.value] for c in Conclusion}
        assert sum(int(count) for _, count in counted) == 912


def test_a_fresh_clone_says_what_to_type_first(pages: dict[str, Page]) -> None:
    first = section(pages["fresh"], "glance").split("<h3>")[0]
    assert "Nothing has run yet." in first
    assert '<code class="command">make demo</code>' in first
    assert "0 runs of" in first
    shown = cells(pages["fresh"])
    assert {text.split()[0] for text in shown.values()} <= {"0/4", "0/2", "–"}
    assert "No run is done" in section(pages["fresh"], "compute")
    assert "Nothing has run yet." not in pages["half"].text


def test_a_half_finished_state_shows_each_gap_for_what_it_is(pages: dict[str, Page]) -> None:
    shown, page = cells(pages["half"]), pages["half"]
    for schedule in SPOILT:
        text = shown[f"table1.mbert.{schedule}.xquad.average.f1"]
        assert text.startswith("3/4"), text
        assert "incomplete" in text
    # A run that lacks Thai still has its other languages.
    assert shown["table8.mbert.gu.xquad.de.f1"].startswith("72.39 ")
    assert shown["table8.mbert.gu.xquad.th.f1"].startswith("3/4")
    assert shown["table1.xlmr.gu.xnli.average.accuracy"].startswith("2/4")
    missing = html.unescape(section(page, "missing"))
    for _, reason in SPOILT.values():
        assert reason in missing
    assert "the loss is not finite in update 7" in missing
    assert str(page.material.root) not in page.text  # it may be read, and made again, elsewhere
    assert re.search(r"schedule=lpft seed=0\S* ?.*retry=true", missing)


def test_no_interval_and_no_difference_of_a_part_of_the_runs(pages: dict[str, Page]) -> None:
    for page in pages.values():
        gaps = [text for text in cells(page).values() if re.match(r"\d/\d|–", text)]
        assert all("interval" not in text and "difference" not in text for text in gaps)


def test_marked_records_stay_out_without_the_switch(pages: dict[str, Page]) -> None:
    page = build(gather(PAPER, None, Store(pages["complete"].material.root)))
    assert "Nothing has run yet." in page
    assert re.search(r"\d+ done but marked", page)
    assert "reproduced</span></dt><dd>0</dd>" in page


def test_the_page_says_what_it_rests_on(pages: dict[str, Page]) -> None:
    reading = html.unescape(section(pages["complete"], "reading"))
    assert "taken for the sample standard deviation" in reading
    assert "Intervals that are shown are 95 % Student intervals" in reading
    assert "0.125 with four" in pages["complete"].text
    compute = section(pages["complete"], "compute")
    assert re.search(r'<th scope="row">unknown</th><td>368</td><td>unknown</td>', compute)


def test_the_miniature_has_claims_and_no_printed_numbers(pages: dict[str, Page]) -> None:
    page = pages["miniature"]
    assert "printed " not in page.text.split('<section id="tables"')[1].split('<section id="figures"')[0]
    names = {section.target.name for section in page.material.sections}
    assert names >= {"demo", "miniature", "table1-micro", "figure5-micro"}
    shown = cells(page)
    assert shown["demo.micro.gu.micronli.average.accuracy"] == "54.00 ± 0.00 (best) 95 % interval [54.00, 54.00]"
    assert page.text.count('<article class="claim"') == len(page.material.checked)
    assert '<img src="data:image/svg+xml;base64,' in section(page, "demo-orders").split("</section>")[0]


def test_a_figure_names_the_runs_whose_step_log_was_lost(pages: dict[str, Page]) -> None:
    assert "4 of 4 runs are missing. 3 of them can be started unasked" in section(pages["miniature"], "demo-traces")
    missing = html.unescape(section(pages["miniature"], "missing"))
    assert re.search(r"Done, but runs/mnli/micro/madx-gu-k20-full-s0-\w+/metrics.jsonl is not the step log", missing)
    assert "schedule=gu seed=0 track.fisher_every=40 force=true</code>" in missing


def test_the_same_results_make_the_same_bytes(pages: dict[str, Page], tmp_path: Path) -> None:
    root = pages["miniature"].material.root
    assert main(["report", "--model", "micro", "--results", str(root), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report/fun-micro.html").read_text(encoding="utf-8") == pages["miniature"].text
    index = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert PAPER.title in index
    assert re.findall(r'href="([^"]+)"', index) == ["fun-micro.html"]  # fun.html is not written yet


def test_an_unknown_miniature_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--model", "mini"]) == 2
    assert capsys.readouterr().err == "error: fun has no page for model 'mini'; valid: micro, none for the paper's.\n"


# --- every command on it --------------------------------------------------------------------------------------


def commands(page: Page) -> set[str]:
    return {html.unescape(line) for line in re.findall(r'<code class="command">(.*?)</code>', page.text)}


def reproduce_accepts(words: list[str]) -> None:
    parser = Parser()
    parsers = parser.add_subparsers(dest="command", required=True)
    for add in COMMANDS:
        add(parsers, KNOWN)
    typed = parser.parse_args(words)
    if hasattr(typed, "target"):
        options.target(typed, KNOWN)
    if typed.command == "explain":
        explain.places(KNOWN[typed.target], (typed.panel, typed.row, typed.dataset, typed.column))


def test_every_command_on_the_pages_is_accepted(pages: dict[str, Page]) -> None:
    lines = set().union(*map(commands, pages.values()))
    makefile = (ROOT / "Makefile").read_text()
    extras: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in lines:
        match shlex.split(line):
            case ["make", name]:
                assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE), line
            case ["python", "-m", "reproduce", *words]:
                reproduce_accepts(words)
            case ["python", "-m", "fun.run", *words]:
                sweep = [word.partition("=") for word in words if word != "-m"]
                assert ("-m" in words) == any("," in value for _, _, value in sweep), line
                for values in itertools.product(*(value.split(",") for _, _, value in sweep)):
                    run = [f"{name}={value}" for (name, _, _), value in zip(sweep, values, strict=True)]
                    own = tuple(word for word in run if word.startswith(("track.", "force=", "retry=")))
                    configuration(tuple(word for word in run if word not in own))
                    extras.setdefault(own, tuple(run))
            case _:
                pytest.fail(f"no such command: {line}")
    assert {("retry=true",), ("force=true",), ("track.fisher_every=100",)} <= extras.keys()
    for run in extras.values():  # what stands beside a run's own overrides, once each: composing takes a while
        compose(run)
    assert len(lines) > 400


# --- from a number to its runs, in a terminal -----------------------------------------------------------------


def explained(root: Path, capsys: pytest.CaptureFixture[str], *names: str, status: int = 0) -> str:
    assert main(["explain", *names, "--results", str(root), "--allow-marked"]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_explain_lists_runs_values_selection_and_folders(
    pages: dict[str, Page], capsys: pytest.CaptureFixture[str]
) -> None:
    root = pages["complete"].material.root
    text = explained(root, capsys, "table1", "mbert", "gu", "xquad", "avg")
    assert text.count("table1: mBERT, Ada+GU, XQuAD, average,") == 2  # F1 and EM
    for seed in range(4):
        run = squad_run(root, "gu", seed)
        assert run.run_id in text
        assert f"seed={seed}: {run.path.relative_to(root)}\n" in text
        for language in PAPER.datasets["xquad"].targets:
            value = run.record().metrics["xquad"][language]["f1"]
            assert re.search(rf"^ *{language} .*{value:.2f}", text, flags=re.MULTILINE)
    assert "ours: 63.48 ± 0.22 (n = 4, 95 % interval [63.13, 63.83])" in text
    assert "published: 63.48 ± 0.22 (n = 4)" in text
    assert "verdict: reproduced (p = 1.000 after Holm)" in text
    assert re.search(r"selected +update 1 +update 1 +update 1 +update 1", text)
    once = explained(root, capsys, "table1", "mbert", "gu", "xquad", "average", "em")
    assert once in text
    assert once.startswith("table1: mBERT, Ada+GU, XQuAD, average, EM")
    english = explained(root, capsys, "table1", "xlmr", "std", "mlqa", "en", "f1")
    assert english == explained(root, capsys, "table1", "xlmr", "std", "mlqa", "source", "f1")


def test_explain_says_what_is_wrong_with_a_run_and_what_to_type(
    pages: dict[str, Page], capsys: pytest.CaptureFixture[str]
) -> None:
    root = pages["half"].material.root
    text = explained(root, capsys, "table1", "mbert", "gu", "xquad", "avg", "f1")
    assert "ours: no mean yet, 3 of 4 runs have the value" in text
    assert "verdict: incomplete (3/4)" in text
    assert "# done, but without xquad in th\npython -m fun.run model=mbert task=squad" in text
    damaged = explained(root, capsys, "table1", "mbert", "std", "xquad", "avg", "f1")
    assert re.search(r"^ state +damaged +done +done +done", damaged, flags=re.MULTILINE)
    assert damaged.rstrip().endswith("schedule=std seed=0 force=true")
    unknown = explained(root, capsys, "table1", "mbert", "gu", "xquad", "lowest", "f1")
    assert "the lowest language is not known before the runs that name it are there" in unknown


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("table1", "bert", "gu", "xquad", "avg"), "table1 has no panel 'bert'; valid: mbert, xlmr."),
        (("table1", "mbert", "rev", "xquad", "avg"), "table1 has no row 'rev'; valid: std, rand, gu, fun."),
        (("table2", "mbert", "gu", "xnli", "avg"), "table2 has no dataset 'xnli'; valid: xquad, mlqa."),
        (("table1", "mbert", "gu", "xquad", "th"), "table1 has no column 'th'; valid: source, lowest, average."),
        (("table1", "mbert", "gu", "xnli", "avg", "f1"), "table1 has no metric 'f1'; valid: accuracy."),
        (("figure2", "mbert", "gu", "xnli", "avg"), "'figure2' is not a table of results"),
    ],
)
def test_explain_names_what_is_valid(
    names: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = explained(tmp_path, capsys, *names, status=2)
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_columns_of_languages_are_named_by_their_code() -> None:
    places = explain.places(KNOWN["table8"], ("mbert", "gu", "xquad", "th"))
    assert [(place.column, place.metric) for place in places] == [("th", "f1")]
    with pytest.raises(ConfigError, match="table8 has no column 'th'"):
        explain.places(KNOWN["table8"], ("mbert", "gu", "mlqa", "th"))
