"""The small family: merged for its targets alone, read without encoder and data, its table put into a README."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fun.inputs import compose, run_folder
from reproduce.__main__ import main
from reproduce.declare import claims, papers
from reproduce.declare.claims import Compared
from reproduce.numbers.claims import Result, check
from reproduce.runs import store
from reproduce.runs.store import results_of
from reproduce.show.page.material import miniatures
from reproduce.start.here import run_missing
from tests import synthetic
from tests.conftest import ROOT, Cli, recorded

TARGETS = papers.targets()
TABLE = TARGETS["small/table1"]
ENCODER = f"sha256:{'ab' * 32}"
LANGUAGES = TABLE.paper.datasets["xcopa"].targets


@pytest.fixture(autouse=True)
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing but names of contents: of an encoder that nobody has, and of the data sets' files."""
    monkeypatch.setenv("FUN_SMALL_ENCODER", ENCODER)
    monkeypatch.setenv("FUN_SMALL_DATA", str(ROOT / "docs/small/data"))
    store._configuration.cache_clear()  # composed once in a process, whose environment stays as it is
    yield
    store._configuration.cache_clear()


def copa(row: str, seed: int) -> tuple[str, ...]:
    return next(
        run.overrides for run in TABLE.needed() if {"task=copa", f"schedule={row}", f"seed={seed}"} <= {*run.overrides}
    )


def finish(root: Path, overrides: tuple[str, ...], more: float = 0.0) -> None:
    """A done run of COPA: 60, 62, 64 or 66 in English by seed, 10 less elsewhere, Estonian 18; with predictions and weights."""
    config = compose(overrides)
    english = 60 + more + 2 * config.seed
    scores = {"en": english, **dict.fromkeys(LANGUAGES, english - 10), "et": english - 18}
    metrics = {"xcopa": {language: {"accuracy": score} for language, score in scores.items()}}
    with run_folder(config, root).begin() as attempt:
        attempt.write_bytes("predictions/xcopa.en.parquet", b"predicted")
        attempt.write_bytes("adapter/adapter.safetensors", b"weights")
        attempt.write_bytes("adapter/adapter_config.json", b"{}")
        attempt.finish(synthetic.body(config, metrics, config.marks))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """Ada and Ada+GU on COPA, four seeds each; and a run of another encoder."""
    root = tmp_path / "there"
    for row, more in (("std", 0.0), ("gu", 1.0)):
        for seed in range(4):
            finish(root, copa(row, seed), more)
    finish(root, (*copa("fun", 0), f"model.source=sha256:{'cd' * 32}"))
    return root


@pytest.fixture
def archive(there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    root = tmp_path / "archive"
    assert main(["merge", str(there), "small", "--results", str(root), "--without-weights"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not of small as typed here: 1 runs: encoder is sha256:cdcdcdcdcdcd…, here sha256:abababababab…",
        "8 copied, 0 same, 0 different, 0 left, 1 other",
    ]
    return root


def test_the_archive_has_what_its_targets_need_and_no_weights(there: Path, archive: Path) -> None:
    records = [run.record() for run in recorded(archive)]
    assert len(records) == 8
    assert {tuple(record.files) for record in records} == {("predictions/xcopa.en.parquet",)}
    assert not [*archive.rglob("adapter*")]
    assert main(["collect", "small", "--results", str(archive), "--out", str(archive.parent / "out")]) == 0
    assert main(["merge", str(archive), "--results", str(there)]) == 0


# By hand. Over seeds 60, 62, 64, 66: 63, and the root of (9 + 1 + 1 + 9) / 3. Average: 7 languages 10 below, one 18 below.
BLOCK = """<!-- small/table1 -->

**Table 1 in small: zero-shot transfer of bottleneck adapters.** Mean ± sample std over 4 runs (seed=0, seed=1, seed=2, \
seed=3); on XNLI, every fifth pair: over 3 runs (seed=0, seed=1, seed=2); an average is over the target languages. \
Lowest: the lowest target language of row Ada. n/N: only n of N runs have the value, so there is no mean yet. \
Every number of ours: from records marked nonstandard.

*e5-small*

| XCOPA (Accuracy) | En | Lowest (Et) | Average |
| --- | ---: | ---: | ---: |
| Ada | 63.00±2.58 | 45.00±2.58 | _52.00±2.58_ |
| Ada+Rand | 0/4 | 0/4 | 0/4 |
| Ada+Rev | 0/4 | 0/4 | 0/4 |
| Ada+LPFT | 0/4 | 0/4 | 0/4 |
| Ada+GU | 64.00±2.58 | 46.00±2.58 | **53.00±2.58** |
| Ada+FUN | 0/4 | 0/4 | 0/4 |

| XNLI, every fifth pair (Accuracy) | En | Lowest | Average |
| --- | ---: | ---: | ---: |
| Ada | 0/3 | – | 0/3 |
| Ada+Rand | 0/3 | – | 0/3 |
| Ada+Rev | 0/3 | – | 0/3 |
| Ada+LPFT | 0/3 | – | 0/3 |
| Ada+GU | 0/3 | – | 0/3 |
| Ada+FUN | 0/3 | – | 0/3 |

NOTE

<!-- /small/table1 -->
"""


def test_the_table_goes_into_a_readme_from_the_archive_alone(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("Before.\n<!-- small/table1 -->\n<!-- /small/table1 -->\nAfter.\n")
    into = ["table", "small/table1", "--results", str(archive), "--into", str(readme)]
    assert main(into) == 0
    assert capsys.readouterr().out.endswith(f"wrote {readme}\n")
    written = readme.read_text()
    assert written == f"Before.\n{BLOCK.replace('NOTE', TABLE.note)}After.\n"
    assert main(into) == 0
    assert readme.read_text() == written
    assert not (archive / "tables").exists()
    readme.write_text("Before.\n<!-- small/table1 -->\nAfter.\n")
    assert main(into) == 2
    assert "found no lines <!-- small/table1 --> and <!-- /small/table1 -->" in capsys.readouterr().err


def test_the_readme_has_the_table_of_the_archive_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make readme`, typed into a README whose table is gone."""
    (encoder,) = re.findall(
        r"^readme: export FUN_SMALL_ENCODER = (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    monkeypatch.setenv("FUN_SMALL_ENCODER", encoder)
    text = (ROOT / "README.md").read_text()
    before, _, rest = text.partition("<!-- small/table1 -->\n")
    _, _, after = rest.partition("<!-- /small/table1 -->\n")
    readme = tmp_path / "README.md"
    readme.write_text(f"{before}<!-- small/table1 -->\n<!-- /small/table1 -->\n{after}")
    assert main(["table", "small/table1", "--results", str(ROOT / "docs/small"), "--into", str(readme)]) == 0
    assert readme.read_bytes() == (ROOT / "README.md").read_bytes()


def test_methods_are_compared_seed_by_seed_on_its_own_page(archive: Path) -> None:
    """GU is one point above in each of four seeds, on COPA; the claim itself waits for XNLI."""
    statements = claims.load(TABLE.paper)
    assert miniatures(TABLE.paper, statements) == []
    assert statements.own is not None
    results = results_of(statements.needed(statements.own), store.Store(archive))
    claim = statements.claims[0]
    assert isinstance(claim, Compared)
    on_copa = replace(statements, claims=(claim.model_copy(update={"datasets": ("xcopa",)}), claim))
    (copa, whole) = (checked.ours for checked in check(on_copa, statements.own, results))
    (finding,) = copa.findings
    assert finding.estimate is not None
    assert (finding.estimate.value, finding.estimate.error, finding.row.n) == (1.0, 0.0, 4)
    assert (copa.result, finding.exact_p, whole.result) == (Result.holds, 0.125, Result.incomplete)


def test_a_budget_is_kept_and_no_run_begins_without_the_encoder_itself(
    archive: Path, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_missing({"": TABLE.needed()}, archive, workers=2, at_most=1, dry_run=True) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "schedule=rand seed=0" in line  # std is there
    assert "names an encoder that is not here: type model.source=folder:" in cli(*copa("rand", 0), status=2).stderr
