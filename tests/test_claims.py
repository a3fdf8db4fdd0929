"""Claims: what the paper's own numbers say of each, by hand; the rules; our runs, paired, gaps and all."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fun.errors import ConfigError
from fun.inputs import run_id
from fun.results import Record, RunFolder, State
from reproduce.declare import papers
from reproduce.declare.claims import AnyClaim, Compared, Scope, cases, load
from reproduce.declare.parts import Needed
from reproduce.declare.tables import Place
from reproduce.numbers.claims import (
    Outcome,
    Result,
    Value,
    average,
    check,
    compare,
    evaluate,
    measured,
    printed,
)
from reproduce.numbers.statistics import Summary
from reproduce.runs.store import Absent, Done, Results, configuration
from tests.golden import make

FUN = papers.load(papers.PAPERS / "fun")
STATEMENTS = load(FUN)
PAPER, MINIATURE = STATEMENTS.scopes["paper"], STATEMENTS.scopes["miniature"]


def claim(name: str) -> AnyClaim:
    return next(claim for claim in STATEMENTS.claims if claim.id == name)


def compared(name: str) -> Compared:
    chosen = claim(name)
    assert isinstance(chosen, Compared)
    return chosen


# --- the published numbers ----------------------------------------------------------------------------------

ON_PAPER = {
    "gu-above-standard": "holds (8 of 8)",
    "gu-closes-gap": "holds in part (5 of 6)",
    "lpft-closes-gap": "cannot be judged: the paper prints no number for LPFT with mBERT on MLQA",
    "gu-above-full": "holds (7 of 8)",
    "gu-above-lpft": "cannot be judged: the paper prints no number for LPFT with mBERT on MLQA",
    "low-data-gu-above-standard": "holds in part (11 of 12)",
    "trace-changes": "cannot be judged: a statement about curves; see figure 3",
    "trace-falls-as-validation-rises": "cannot be judged: a statement about curves; see figure 4",
    "trace-and-transfer": "cannot be judged: a statement about curves; see figure 4",
    "fun-recovers-order": "cannot be judged: a statement about curves; see figure 5",
    "fun-comparable-to-gu": "holds (8 of 8)",
    "fun-above-baselines": "holds in part (14 of 16)",
    "fun-well-above-baselines": "holds in part (12 of 16)",
    "fun-gain-xnli": "holds (1 of 1)",
    "fun-gain-mbert": "holds (1 of 1)",
    "fun-gain-abstract": "holds in part (1 of 2)",
    "fun-english-above-gu": "holds (6 of 8)",
    "lowest-improves": "holds in part (14 of 16)",
    "fun-lowest-mbert": "holds (4 of 4)",
    "fun-lowest-xlmr": "holds (3 of 4)",
    "fun-gain-thai": "holds (1 of 1)",
    "lora-above-standard": "holds (16 of 16)",
    "lora-fun-comparable-to-gu": "holds (8 of 8)",
    "lora-fun-above-gu-mlqa": "holds (2 of 2)",
    "lora-gu-above-fun-xquad": "holds (2 of 2)",
    "lora-boost": "holds in part (15 of 16)",
    "lora-gu-below-standard-copa": "holds in part (1 of 2)",
    "low-data-fun-comparable-to-gu": "holds (12 of 12)",
    "reverse-below-gu": "holds (6 of 6)",
    "reverse-significantly-below-gu": "cannot be judged: no test without a spread and 3 runs on either side",
    "reverse-english-similar": "holds in part (4 of 6)",
    "mdeberta-behind-full": "cannot be judged: the paper prints no number for full fine-tuning with mDeBERTa on XCOPA",
}

# The differences, subtracted by hand from the paper's tables, model by model in the order of the claim's data sets.
BY_HAND = {
    "gu-above-standard": (1.97, 2.85, 0.30, 3.89, 2.16, 2.95, 2.31, 0.13),
    "gu-closes-gap": (0.52, 0.15, -1.93, 0.88, 1.06, 0.01),
    "gu-above-full": (0.52, 0.15, 0.90, -1.93, 0.88, 1.06, 3.25, 0.01),
    "fun-comparable-to-gu": (-0.04, -0.23, -0.31, -0.31, -0.37, -0.70, -0.13, -0.31),
    "fun-gain-xnli": (3.58,),
    "fun-gain-mbert": (2.03,),
    "fun-gain-abstract": (2.03, 1.51),
    "fun-english-above-gu": (0.78, 0.50, -0.20, -0.09, 0.55, 0.42, 1.80, 0.48),
    "fun-lowest-mbert": (2.44, 8.02, 0.52, 16.28),
    "fun-lowest-xlmr": (1.43, 1.22, 0.80, -0.68),
    "fun-gain-thai": (8.02,),
    "lora-fun-above-gu-mlqa": (0.13, 0.30),
    "lora-gu-above-fun-xquad": (0.20, 0.16),
    "lora-gu-below-standard-copa": (-1.24, 0.39),
    "reverse-below-gu": (8.28, 10.05, 6.00, 5.88, 7.60, 0.94),
    "reverse-english-similar": (0.67, -1.04, -0.36, 1.01, -0.37, -0.01),
}

# The cases in which a claim fails on paper.
FAILING = {
    "gu-closes-gap": {"mBERT, XNLI Accuracy: GU − full fine-tuning"},
    "low-data-gu-above-standard": {"XLM-R, XNLI Accuracy, 5k: GU − standard"},
    "fun-above-baselines": {
        "mBERT, XCOPA Accuracy: FUN − standard",
        "XLM-R, XNLI Accuracy: FUN − standard",
    },
    "lowest-improves": {"mBERT, XCOPA Accuracy: GU − standard", "XLM-R, XNLI Accuracy: FUN − standard"},
    "lora-boost": {"XLM-R, XCOPA Accuracy: LoRA+GU − LoRA"},
    "reverse-english-similar": {
        "mBERT, XQuAD F1: reverse GU − GU",
        "XLM-R, MLQA F1: reverse GU − GU",
    },
}


def on_paper(name: str) -> Outcome:
    return evaluate(claim(name), STATEMENTS, PAPER, partial(printed, PAPER))


def test_what_the_paper_s_own_numbers_say_of_every_claim() -> None:
    assert {claim.id: str(on_paper(claim.id)) for claim in STATEMENTS.claims} == ON_PAPER


@pytest.mark.parametrize("name", BY_HAND)
def test_the_differences_are_those_subtracted_by_hand(name: str) -> None:
    assert tuple(f.difference for f in on_paper(name).findings) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", FAILING)
def test_where_a_claim_fails_on_paper(name: str) -> None:
    assert {f.label for f in on_paper(name).findings if not f.holds} == FAILING[name]


def test_there_is_no_gap_on_xcopa() -> None:
    assert on_paper("gu-closes-gap").reason == "no gap to begin with in 2 of 8 cases"


def test_printed_numbers_are_tested_where_they_have_a_spread() -> None:
    """MLQA, mBERT: GU 57.37 ± 0.32, standard 55.40 ± 0.94, four runs each: Welch's p is 0.0194 (see test_verdicts)."""
    first = on_paper("gu-above-standard").findings[0]
    assert first.test == "Welch"
    assert first.estimate is not None
    assert first.estimate.p == pytest.approx(0.0194, abs=1e-4)
    assert all(f.estimate is None for f in on_paper("reverse-below-gu").findings)


# --- the rules ----------------------------------------------------------------------------------------------


def judged(name: str, numbers: Mapping[str, float], scope: Scope = MINIATURE) -> Outcome:
    """A claim by a single number per method, the same on every data set."""

    def look_up(place: Place) -> Value | Outcome:
        return Value(Summary(numbers[place.row], None, 4))

    return evaluate(claim(name), STATEMENTS, scope, look_up)


@pytest.mark.parametrize(
    ("name", "numbers", "result"),
    [
        ("gu-above-standard", {"gu": 50.01, "std": 50.0}, Result.holds),
        ("gu-above-standard", {"gu": 50.0, "std": 50.0}, Result.does_not_hold),
        ("fun-well-above-baselines", {"fun": 51.01, "std": 50.0, "rand": 50.0}, Result.holds),
        ("fun-well-above-baselines", {"fun": 51.0, "std": 50.0, "rand": 50.0}, Result.does_not_hold),
        ("fun-well-above-baselines", {"fun": 51.5, "std": 50.0, "rand": 51.0}, Result.in_part),
        ("fun-comparable-to-gu", {"fun": 32.02, "gu": 31.02}, Result.holds),
        ("fun-comparable-to-gu", {"fun": 53.28, "gu": 54.29}, Result.does_not_hold),
        ("gu-closes-gap", {"gu": 59.0, "std": 55.0, "full": 60.0}, Result.holds),
        ("gu-closes-gap", {"gu": 58.99, "std": 55.0, "full": 60.0}, Result.does_not_hold),
        ("gu-closes-gap", {"gu": 59.0, "std": 60.0, "full": 60.0}, Result.unjudged),
    ],
)
def test_rules(name: str, numbers: Mapping[str, float], result: Result) -> None:
    assert judged(name, numbers).result is result


@pytest.mark.parametrize(("gain", "result"), [(2.034, Result.holds), (2.036, Result.does_not_hold)])
def test_a_printed_gain_must_give_the_stated_digits(gain: float, result: Result) -> None:
    assert judged("fun-gain-mbert", {"fun": 50.0 + gain, "std": 50.0}, PAPER).result is result


@pytest.mark.parametrize(("gain", "result"), [(2.9, Result.holds), (3.1, Result.does_not_hold)])
def test_a_gain_of_ours_must_come_within_the_margin(gain: float, result: Result) -> None:
    def look_up(place: Place) -> Value | Outcome:
        values = (50.0 + gain * (place.row == "fun"),) * 4
        return Value(Summary.of(values), values, ({},) * 4)

    outcome = evaluate(claim("fun-gain-mbert"), STATEMENTS, PAPER, look_up)
    assert outcome.result is result


@pytest.mark.parametrize(("better", "result"), [(6, Result.holds), (5, Result.does_not_hold)])
def test_a_share_of_cases(better: int, result: Result) -> None:
    winning = {case.places(case.row)[0] for case in cases(compared("fun-english-above-gu"), PAPER)[:better]}

    def look_up(place: Place) -> Value | Outcome:
        return Value(Summary(51.0 if place in winning else 50.0 - (place.row == "fun"), None, 4))

    outcome = evaluate(claim("fun-english-above-gu"), STATEMENTS, PAPER, look_up)
    assert (outcome.result, outcome.holding) == (result, better)


def test_shares_count_the_cases_that_the_paper_has() -> None:
    for declared in STATEMENTS.claims:
        if least := getattr(declared, "least", None):
            assert least.of == len(cases(compared(declared.id), PAPER))


# --- our runs -----------------------------------------------------------------------------------------------

Score = Callable[[str, str, int, str, str], float]
"""(adapter, schedule, seed, dataset, language) -> value"""


def record(run: Needed, score: Score, config: Mapping[str, Any]) -> Record:
    chosen = dict(override.split("=") for override in run.overrides)
    method = chosen["adapter"], chosen["schedule"], int(chosen["seed"])
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for dataset, language, metric in run.values:
        metrics.setdefault(dataset, {}).setdefault(language, {})[metric] = score(*method, dataset, language)
    shared = {"train": {"lr": 5e-4}, "seed": method[2], "adapter": {"name": method[0]}}
    fields = make.content(make.identity(run.overrides), metrics)
    fields["config"] = {**shared, "schedule": {"name": method[1]}, **config}
    return Record.sealed(fields)


def runs(
    score: Score, absent: Callable[[Needed], bool] = lambda run: False, **config: Callable[[Needed], Any]
) -> Results:
    """Every run that the miniature's claims need, but those that are `absent`; `config` replaces parts of a run's."""
    return {
        run.overrides: Absent(State.MISSING)
        if absent(run)
        else Done(
            record(run, score, {name: part(run) for name, part in config.items()}), RunFolder(Path("nowhere"), "")
        )
        for run in STATEMENTS.needed(MINIATURE)
    }


def seeds(adapter: str, schedule: str, seed: int, dataset: str, language: str) -> float:
    """GU is 1, 2, 3 and 4 above standard in seeds 0 to 3; l7 is the lowest language; English is 20 above."""
    lifted = (seed + 1.0 if schedule == "gu" else 0.0) + 10.0 * seed
    return 30.0 + lifted + {"en": 20.0, "l7": -7.0}.get(language, 0.0)


def in_miniature(name: str, results: Results) -> Outcome:
    return evaluate(claim(name), STATEMENTS, MINIATURE, partial(measured, MINIATURE, results))


def test_runs_that_share_all_but_the_schedule_are_paired() -> None:
    """Differences 1, 2, 3, 4: mean 2.5, std 1.291, t = 3.873 with 3 degrees: p = 0.0305. Unpaired it would be lost."""
    outcome = in_miniature("gu-above-standard", runs(seeds))
    assert str(outcome) == "holds (3 of 3)"
    for finding in outcome.findings:
        assert (finding.test, finding.difference) == ("paired t", 2.5)
        assert finding.estimate is not None
        assert finding.estimate.p == pytest.approx(0.0305, abs=1e-4)
        assert (finding.exact_p, finding.smallest_p) == (0.125, 0.125)
        assert finding.adjusted_p == pytest.approx(3 * 0.0305, abs=3e-4)  # Holm over three equal p
        assert not finding.significant


def test_runs_that_differ_in_more_are_independent_groups() -> None:
    def training(run: Needed) -> dict[str, float]:
        return {"lr": 1e-5 if "schedule=gu" in run.overrides and "task=copa" in run.overrides else 1e-4}

    outcome = in_miniature("gu-above-standard", runs(seeds, train=training))
    tests = {finding.label: finding for finding in outcome.findings}
    copa = tests.pop("micro, MicroCOPA Accuracy: GU − standard")
    assert (copa.test, copa.difference, copa.exact_p) == ("Welch", 2.5, None)
    assert copa.estimate is not None
    assert copa.estimate.p > 0.7  # the seeds' spread of 10 is not taken out
    assert {finding.test for finding in tests.values()} == {"paired t"}


@pytest.mark.parametrize("change", [{"inputs": {"train": "other"}}, {"semantics": 3}])
def test_other_inputs_or_semantics_part_a_pair(change: dict[str, Any]) -> None:
    changed = {
        key: replace(found, record=found.record.model_copy(update=change)) if "schedule=gu" in key else found
        for key, found in runs(seeds).items()
        if isinstance(found, Done)
    }
    assert {f.test for f in in_miniature("gu-above-standard", changed).findings} == {"Welch"}


def test_a_claim_says_what_its_runs_mix() -> None:
    """Runs of two semantics numbers, of which each mean has one: together they mix."""
    raised = {
        key: replace(found, record=found.record.model_copy(update={"semantics": 3})) if "schedule=gu" in key else found
        for key, found in runs(seeds).items()
        if isinstance(found, Done)
    }
    reason = in_miniature("gu-above-standard", raised).reason
    assert reason == "mixes semantics numbers 2, 3"


def test_what_only_a_schedule_reads_does_not_part_a_pair() -> None:
    scored = runs(seeds, fisher=lambda run: {"name": "algorithm2"} if "schedule=fun" in run.overrides else None)
    without = {key: strip(found) for key, found in scored.items()}
    assert {f.test for f in in_miniature("fun-above-baselines", without).findings} == {"paired t"}


def strip(found: Done | Absent) -> Done | Absent:
    """A record's config without fields that are None, as real ones have it."""
    assert isinstance(found, Done)
    config = {name: part for name, part in found.record.config.items() if part is not None}
    return replace(found, record=found.record.model_copy(update={"config": config}))


def test_a_claim_of_significance_is_judged_by_p() -> None:
    def reverse(adapter: str, schedule: str, seed: int, dataset: str, language: str) -> float:
        worse = {"microqa": 9.0 + seed / 10, "micronli": 0.1 + seed}[dataset] if schedule == "rev" else 0.0
        return 50.0 + 10 * seed - worse

    results = runs(lambda *at: reverse(*at) if at[3] != "microcopa" else 50.0)
    assert str(in_miniature("reverse-below-gu", results)) == "holds (2 of 2)"
    assert str(in_miniature("reverse-significantly-below-gu", results)) == "holds in part (1 of 2)"


@pytest.mark.parametrize("seed", [0, 3])
def test_one_missing_run_leaves_a_claim_incomplete(seed: int) -> None:
    gone = {f"seed={seed}", "schedule=gu", "task=mnli", "adapter=madx"}
    results = runs(seeds, absent=lambda run: gone <= {*run.overrides} and "data_size=full" in run.overrides)
    outcome = in_miniature("gu-above-standard", results)
    assert str(outcome) == "incomplete: needs 1 more run"
    assert outcome.findings == ()
    assert outcome.missing == (
        ("model=micro", "task=mnli", "adapter=madx", "schedule=gu", "data_size=full", f"seed={seed}"),
    )
    # Claims that do not need the run are as they were.
    assert in_miniature("fun-above-baselines", results).result is not Result.incomplete


def test_nothing_run_yet() -> None:
    checked = check(STATEMENTS, MINIATURE, runs(seeds, absent=lambda run: True))
    assert all(each.ours.findings == () for each in checked)
    assert all(each.published is None for each in checked)
    outcomes = {each.claim.id: str(each.ours) for each in checked}
    assert outcomes["gu-above-standard"] == "incomplete: needs 24 more runs"  # 3 tasks × 2 schedules × 4 seeds
    assert outcomes["lowest-improves"] == "incomplete: needs 36 more runs"
    assert outcomes["fun-gain-mbert"] == "cannot be judged: it states a number that was measured on the paper's data"
    assert outcomes["fun-lowest-xlmr"] == "cannot be judged: it is about XLM-R alone"


def test_a_run_without_a_language_is_missing() -> None:
    results = dict(runs(seeds))
    key = ("model=micro", "task=mnli", "adapter=madx", "schedule=gu", "data_size=full", "seed=1")
    found = results[key]
    assert isinstance(found, Done)
    languages = {name: value for name, value in found.record.evaluations["micronli"].items() if name != "l4"}
    results[key] = replace(found, record=found.record.model_copy(update={"evaluations": {"micronli": languages}}))
    assert in_miniature("gu-above-standard", results).missing == (key,)
    assert in_miniature("fun-english-above-gu", results).result is not Result.incomplete


def test_the_lowest_language_is_that_of_the_standard_row() -> None:
    def score(adapter: str, schedule: str, seed: int, dataset: str, language: str) -> float:
        lowest = "l2" if schedule == "std" else "l5"
        return {"l2": 12.0, lowest: 10.0}.get(language, 40.0)

    outcome = in_miniature("lowest-improves", runs(score))
    assert str(outcome) == "holds (6 of 6)"
    assert {f.difference for f in outcome.findings} == {2.0}


def test_what_names_the_lowest_language_is_needed_too() -> None:
    beside_gu = claim("lowest-improves").model_copy(update={"rows": ("fun",), "over": ("gu",)})
    statements = replace(STATEMENTS, claims=(beside_gu,))
    schedules = {run.overrides[3] for run in statements.needed(MINIATURE)}
    assert schedules == {"schedule=fun", "schedule=gu", "schedule=std"}


def test_an_average_over_data_sets_is_taken_seed_by_seed() -> None:
    """1 and 3, 5 and 3 in seeds 0 and 1: averages 3 and 3. The spread of an average is not that of its parts."""
    first = Value(Summary.of((1.0, 3.0)), (1.0, 3.0), ({"seed": 0}, {"seed": 1}))
    second = Value(Summary.of((5.0, 3.0)), (5.0, 3.0), ({"seed": 0}, {"seed": 1}))
    both = average([first, second])
    assert (both.values, both.summary) == ((3.0, 3.0), Summary(3.0, 0.0, 2))
    assert compare("", both, replace(both, settings=both.settings[::-1]), 1.0).test == "Welch"
    assert compare("", both, both, 1.0).test == "paired t"
    assert average([Value(Summary(1.0, 0.5, 4)), Value(Summary(4.0, 0.5, 2))]) == Value(Summary(2.5, None, 2))


def test_single_runs_are_compared_without_a_test() -> None:
    one = Value(Summary.of((51.0,)), (51.0,), ({"seed": 0},))
    other = Value(Summary.of((50.0,)), (50.0,), ({"seed": 0},))
    finding = compare("", one, other, 1.0)
    assert (finding.difference, finding.estimate, finding.test) == (1.0, None, "")
    assert (finding.exact_p, finding.smallest_p) == (1.0, 1.0)


def test_claims_and_tables_share_their_runs() -> None:
    """So one look at the disk serves both."""
    table = {run_id(configuration(run.overrides)) for run in papers.targets()["table1"].needed()}
    assert table <= {run_id(configuration(run.overrides)) for run in STATEMENTS.needed(PAPER)}


# --- the declaration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ["gx"]}, "gu-above-standard: 'gx' is not declared; valid: std, rand, gu"),
        ({"panels": ["bert"]}, "'bert' is not declared"),
        ({"datasets": ["mlqa", "paws"]}, "'paws' is not declared"),
        ({"kind": "better"}, "claims.0: Input tag 'better'"),
        ({"surely": True}, "claims.0.above.surely: Extra inputs"),
        ({"kind": "gain"}, "gu-above-standard needs one of equals and at_least"),
        ({"id": "gu-above-full"}, "two claims are called 'gu-above-full'"),
    ],
)
def test_a_wrong_claim_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = shutil.copytree(FUN.folder, tmp_path / "fun")
    declared = yaml.safe_load((folder / "claims.yaml").read_text(encoding="utf-8"))
    declared["claims"][0] |= change
    (folder / "claims.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    with pytest.raises(ConfigError) as error:
        load(papers.load(folder))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_claim_says_where_the_paper_makes_it() -> None:
    assert all(declared.text and declared.source for declared in STATEMENTS.claims)
    comparing = [declared for declared in STATEMENTS.claims if isinstance(declared, Compared)]
    assert len(comparing) == len(STATEMENTS.claims) - 4


def test_statements_can_be_made_about_another_paper() -> None:
    """Nothing but the declaration knows FUN: its claims can be turned round and fail."""
    turned = claim("reverse-below-gu").model_copy(update={"rows": ("rev",), "over": ("gu",)})
    outcome = evaluate(turned, replace(STATEMENTS, claims=(turned,)), PAPER, partial(printed, PAPER))
    assert str(outcome) == "does not hold (0 of 6)"
