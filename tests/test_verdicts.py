"""Verdicts: the statistics against scipy, statsmodels and by hand; the rule, case by case; a whole table."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fun.errors import ConfigError
from fun.results import State
from reproduce.declare import papers
from reproduce.declare.published import Number
from reproduce.declare.tables import Place, Table
from reproduce.numbers import cells
from reproduce.numbers.cells import Grid, Statistic
from reproduce.numbers.statistics import Estimate, Interval, Summary, difference, holm, sign_flip, welch
from reproduce.numbers.verdicts import Conclusion, Verdict, verdicts
from reproduce.runs.store import Absent

GU_57 = Summary(57.37, 0.32, 4)  # Table 1, MLQA, mBERT, GU
OURS = (57.1, 57.4, 57.2, 57.9)  # mean 57.4

# --- statistics ---------------------------------------------------------------------------------------------

GROUPS = [
    (GU_57, Summary(55.40, 0.94, 4)),
    (GU_57, Summary(57.33, 0.51, 3)),
    (Summary(10.0, 0.0, 4), Summary(11.0, 0.5, 5)),
    (Summary(61.31, 1.69, 2), Summary(61.31, 0.46, 4)),
]


@pytest.mark.parametrize(("first", "second"), GROUPS)
def test_welch_equals_scipy(first: Summary, second: Summary) -> None:
    ours = welch(first, second)
    assert ours is not None
    parts = (first.mean, first.std, first.n, second.mean, second.std, second.n)
    theirs = stats.ttest_ind_from_stats(*parts, equal_var=False)
    assert ours.value / ours.error == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("level", [0.90, 0.95])
def test_intervals_equal_scipy(level: float) -> None:
    first, second = (57.1, 57.4, 57.2, 57.9), (55.0, 56.5, 54.9)
    both, single = welch(Summary.of(first), Summary.of(second)), Summary.of(first).estimate
    assert both is not None
    assert single is not None
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(level)
    assert both.interval(level) == Interval(pytest.approx(theirs.low), pytest.approx(theirs.high))
    theirs = stats.ttest_1samp(first, 0).confidence_interval(level)
    assert single.interval(level) == Interval(pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_welch_by_hand() -> None:
    """Stds of 1 and four runs a side: error √(1/4 + 1/4), 6 degrees, t(0.975; 6) = 2.447."""
    estimate = welch(Summary(3.0, 1.0, 4), Summary(1.0, 1.0, 4))
    assert estimate == Estimate(2.0, pytest.approx(math.sqrt(0.5)), pytest.approx(6))
    assert estimate.interval() == Interval(pytest.approx(0.270, abs=1e-3), pytest.approx(3.730, abs=1e-3))
    assert estimate.p == pytest.approx(0.0300, abs=1e-4)


def test_without_any_variance_the_difference_is_all_there_is() -> None:
    same = welch(Summary(5.0, 0.0, 4), Summary(5.0, 0.0, 3))
    other = welch(Summary(5.5, 0.0, 4), Summary(5.0, 0.0, 3))
    assert same is not None
    assert other is not None
    assert (same.p, same.interval()) == (1.0, Interval(0.0, 0.0))
    assert (other.p, other.interval()) == (0.0, Interval(0.5, 0.5))
    assert (other.equivalent(0.5), other.equivalent(0.49)) == (True, False)


def test_printed_decimals_differ_by_what_is_printed() -> None:
    """32.02 − 31.02 is 1, and 1 is within a margin of 1; in binary it is a little more."""
    exactly = welch(Summary(32.02, 0.0, 4), Summary(31.02, 0.0, 4))
    assert exactly is not None
    assert exactly.equivalent(1.0)


@pytest.mark.parametrize("second", [Summary(55.0, None, 4), Summary(55.0, None, 1)])
def test_no_test_without_a_spread(second: Summary) -> None:
    assert welch(GU_57, second) is None
    assert second.estimate is None


def test_one_value_has_no_std() -> None:
    assert Summary.of([57.5]) == Summary(57.5, None, 1)


@pytest.mark.parametrize("margin", [0.4, 0.7, 1.0, 1.5])
def test_equivalence_is_two_one_sided_tests(margin: float) -> None:
    first, second = Summary(57.2, 0.5, 4), Summary(57.0, 0.6, 4)

    def one_sided(shift: float, alternative: str) -> float:
        parts = (first.mean + shift, first.std, first.n, second.mean, second.std, second.n)
        return float(stats.ttest_ind_from_stats(*parts, equal_var=False, alternative=alternative).pvalue)

    estimate = welch(first, second)
    assert estimate is not None
    both = one_sided(margin, "greater") <= 0.05 and one_sided(-margin, "less") <= 0.05
    assert estimate.equivalent(margin) == both == (margin >= 1.0)


@pytest.mark.parametrize("second", [(55.0, 57.0, 56.5, 58.0), (57.0, 57.2, 57.1, 57.8), OURS])
def test_paired_tests_equal_scipy(second: Sequence[float]) -> None:
    pairs = [difference(a, b) for a, b in zip(OURS, second, strict=True)]
    ours = Summary.of(pairs).estimate
    assert ours is not None
    if second != OURS:  # scipy has no t for equal runs
        assert ours.p == pytest.approx(stats.ttest_rel(OURS, second).pvalue, abs=1e-6)
    theirs = stats.permutation_test((np.array(pairs),), np.mean, permutation_type="samples")
    assert sign_flip(pairs) == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(
    ("pairs", "p"),
    [
        ((1.0, 2.0, 3.0, 4.0), 2 / 16),
        ((1.0, 1.0, 1.0, -1.0), 10 / 16),
        ((-1.0, 2.0, 3.0, 4.0), 4 / 16),
        ((0.0, 0.0, 0.0), 1.0),
        ((-0.6, -0.1, 0.7, -0.3), 14 / 16),  # 0.3 is reached by two ways of adding that differ in binary
        ((2.0,), 1.0),
    ],
)
def test_sign_flips_by_hand(pairs: Sequence[float], p: float) -> None:
    assert sign_flip(pairs) == p
    assert 2.0 ** (1 - len(pairs)) <= p


def test_equal_pairs_and_a_single_pair() -> None:
    same = Summary.of([0.0] * 4).estimate
    assert same is not None
    assert same.p == 1.0
    assert Summary.of([1.0]).estimate is None


def closed_testing(p_values: Sequence[float]) -> list[float]:
    """Holm's definition without steps: the largest Bonferroni p of all the sets that a hypothesis is in."""
    indices = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)]
    return [max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in sets if i in s) for i in indices]


@pytest.mark.parametrize(
    ("p_values", "adjusted"),  # as multipletests(p_values, method="holm") of statsmodels 0.15.0 gave them
    [
        ((0.01, 0.04, 0.03, 0.005), (0.03, 0.06, 0.06, 0.02)),
        ((0.02, 0.02, 0.5), (0.06, 0.06, 0.5)),
        ((0.9, 0.8), (1.0, 1.0)),
        ((0.0, 1.0, 1.0), (0.0, 1.0, 1.0)),
        ((0.3,), (0.3,)),
        ((0.012, 0.2, 0.013, 0.0004, 0.049, 0.013), (0.06, 0.2, 0.06, 0.0024, 0.098, 0.06)),
    ],
)
def test_holm_equals_statsmodels_and_closed_testing(p_values: Sequence[float], adjusted: Sequence[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)
    assert holm(p_values) == pytest.approx(closed_testing(p_values))


def test_holm_of_nothing() -> None:
    assert holm([]) == ()


# --- the rule -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "published", "adjusted_p", "conclusion"),
    [
        # Difference 0.03, error 0.24: the 90 % interval reaches 0.5.
        (OURS, GU_57, 1.0, Conclusion.reproduced),
        # 0.5 apart and very sure of it: small all the same, so the first rule holds.
        ((57.87, 57.88, 57.86, 57.87), Summary(57.37, 0.01, 4), 1e-9, Conclusion.reproduced),
        ((59.1, 59.4, 59.2, 59.9), GU_57, 0.049, Conclusion.different),
        ((59.1, 59.4, 59.2, 59.9), GU_57, 0.05, Conclusion.undecided),
        # The same numbers outside every family.
        ((59.1, 59.4, 59.2, 59.9), GU_57, None, Conclusion.undecided),
        # Equal means, but spread too wide to tell.
        ((54.0, 60.0, 55.0, 60.48), GU_57, 1.0, Conclusion.undecided),
        ((57.1, 57.4), GU_57, None, Conclusion.not_enough_runs),
        ((57.4,), GU_57, None, Conclusion.not_enough_runs),
        (OURS, Summary(57.37, 0.32, 2), None, Conclusion.not_enough_runs),
        (OURS, Summary(57.37, None, 4), None, Conclusion.no_published_spread),
        ((57.4,), Summary(57.37, None, 4), None, Conclusion.no_published_spread),
        # However small its spread: over how many runs it is decides what that is worth.
        (OURS, Summary(57.37, 0.32, None), None, Conclusion.runs_unstated),
        (OURS, Summary(57.37, None, None), None, Conclusion.runs_unstated),
        ((57.1, None, 57.2, 57.9), GU_57, 0.001, Conclusion.incomplete),
        ((None, None), Summary(57.37, None, 4), None, Conclusion.incomplete),
        # No variance on one side, on both, and none with a difference.
        ((57.4, 57.4, 57.4), GU_57, 1.0, Conclusion.reproduced),
        ((57.0, 57.0, 57.0), Summary(57.0, 0.0, 4), 1.0, Conclusion.reproduced),
        ((59.0, 59.0, 59.0), Summary(57.0, 0.0, 4), 0.0, Conclusion.different),
    ],
)
def test_verdict(
    ours: tuple[float | None, ...], published: Summary, adjusted_p: float | None, conclusion: Conclusion
) -> None:
    assert Verdict(Statistic(ours), published, 1.0, adjusted_p).conclusion is conclusion


def test_an_incomplete_number_has_no_numbers() -> None:
    judged = Verdict(Statistic((57.1, None, 57.2, 57.9)), GU_57, 1.0)
    assert str(judged) == "incomplete (3/4)"
    assert (judged.ours.mean, judged.ours.interval, judged.difference, judged.estimate) == (None, None, None, None)


def test_without_a_published_spread_our_interval_and_the_difference_are_shown() -> None:
    """OURS: std 0.3559, error 0.1780, t(0.975; 3) = 3.182."""
    judged = Verdict(Statistic(OURS), Summary(57.0, None, 4), 1.0)
    assert judged.difference == pytest.approx(0.4)
    assert judged.ours.interval == Interval(pytest.approx(56.834, abs=1e-3), pytest.approx(57.966, abs=1e-3))
    assert judged.estimate is None
    assert Statistic((57.4,)).interval is None
    unstated = Verdict(Statistic(OURS), Summary(57.0, 0.3, None), 1.0)
    assert (unstated.difference, unstated.estimate) == (judged.difference, None)


# --- a table ------------------------------------------------------------------------------------------------

TABLE1 = papers.targets()["table1"]
assert isinstance(TABLE1, Table)
XQUAD_GU = Place("mbert", "gu", "xquad", "average", "f1")  # 63.48 ± 0.22
LOWEST_GU = Place("mbert", "gu", "xquad", "lowest", "f1")  # Thai


def grid(values: dict[Place, tuple[float | None, ...]], language: str = "th") -> Grid:
    """Table 1 with these numbers and no others."""
    nothing = {run.overrides: Absent(State.MISSING) for run in TABLE1.needed()}
    empty = cells.fill(TABLE1, nothing)
    found = {
        place: replace(
            empty.cells[place],
            statistic=Statistic(numbers),
            language=language if place.column == "lowest" else empty.cells[place].language,
        )
        for place, numbers in values.items()
    }
    return replace(empty, cells={**empty.cells, **found})


def test_a_table_without_runs_is_incomplete_everywhere() -> None:
    found = verdicts(grid({}))
    assert len(found) == 144
    assert {str(v) for v in found.values()} == {"incomplete (0/4)"}


def test_the_family_is_the_complete_table_s_averages_on_their_main_metric() -> None:
    """8 rows × 4 datasets: a p among 32, of which 31 are not there yet."""
    ours = (64.9, 65.1, 64.8, 65.2)
    number = verdicts(grid({XQUAD_GU: ours}))[XQUAD_GU]
    raw = welch(Summary.of(ours), Summary(63.48, 0.22, 4))
    assert raw is not None
    assert number.adjusted_p == pytest.approx(32 * raw.p)
    assert number.conclusion is Conclusion.different


def test_further_numbers_never_make_an_adjusted_p_larger() -> None:
    ours = (64.0, 64.4, 64.1, 64.6)
    alone = verdicts(grid({XQUAD_GU: ours}))[XQUAD_GU]
    others = {
        Place(panel, row, dataset, "average", TABLE1.datasets[dataset].main_metric): (1.0, 1.1, 1.2, 1.3)
        for panel, row, dataset in itertools.product(("mbert", "xlmr"), ("std", "rand"), ("mlqa", "xnli"))
    }
    beside = verdicts(grid({XQUAD_GU: ours, **others}))[XQUAD_GU]
    assert alone.adjusted_p is not None
    assert beside.adjusted_p is not None
    # Eight smaller p come first: 24 of 32 are left.
    assert beside.adjusted_p == pytest.approx(alone.adjusted_p * 24 / 32)


def test_a_secondary_metric_is_never_different() -> None:
    place = replace(XQUAD_GU, metric="em")  # 46.76 ± 0.44
    found = verdicts(grid({place: (60.0, 60.1, 60.2, 60.3)}))[place]
    assert (found.conclusion, found.adjusted_p) == (Conclusion.undecided, None)


def test_only_averages_are_in_the_family() -> None:
    """A std beside an English number would let it be tested, but not call it different."""
    place = replace(XQUAD_GU, column="source")
    table = grid({place: (70.0, 70.1, 70.2, 70.3)})
    with_std = replace(table.cells[place], published=Number("83.21", "0.50", "en", 4))
    found = verdicts(replace(table, cells={**table.cells, place: with_std}))[place]
    assert (found.conclusion, found.adjusted_p) == (Conclusion.undecided, None)


def test_lowest_languages_are_compared_only_where_they_are_the_same() -> None:
    values: dict[Place, tuple[float | None, ...]] = {LOWEST_GU: (44.0, 44.1, 44.2, 44.3)}
    assert verdicts(grid(values))[LOWEST_GU].conclusion is Conclusion.no_published_spread
    assert verdicts(grid(values, language="ar"))[LOWEST_GU].conclusion is Conclusion.another_language


def test_nothing_published_means_no_verdict() -> None:
    micro = papers.targets()["table1-micro"]
    assert isinstance(micro, Table)
    nothing = {run.overrides: Absent(State.MISSING) for run in micro.needed()}
    assert verdicts(cells.fill(micro, nothing)) == {}


# --- margins ------------------------------------------------------------------------------------------------


def test_every_published_metric_of_the_paper_has_a_margin_and_a_reason() -> None:
    paper = TABLE1.paper
    metrics = {metric for dataset in paper.datasets.values() for metric in dataset.metrics}
    assert metrics <= paper.margins.keys()
    assert all(margin.reason for margin in paper.margins.values())


def test_a_metric_without_a_margin_says_where_to_declare_it() -> None:
    with pytest.raises(ConfigError, match=r"'ndcg': add it to `margins` of fun/paper\.yaml"):
        TABLE1.paper.margin("ndcg")


@pytest.mark.parametrize(
    ("margins", "message"),
    [
        ("{f1: {points: 0, reason: r}}", "f1.points: Input should be greater than 0"),
        ("{f1: {points: 1}}", "f1.reason: Field required"),
        ("{f1: {points: 1, reason: r, x: 1}}", "f1.x: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_margin_is_refused(tmp_path: Path, margins: str, message: str) -> None:
    (tmp_path / "paper.yaml").write_text(f"{{title: x, datasets: {{}}, margins: {margins}}}")
    with pytest.raises(ConfigError) as error:
        papers.load(tmp_path)
    assert str(error.value) == f"{tmp_path.name}/paper.yaml: margins.{message}"
