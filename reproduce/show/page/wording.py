"""Words, marks and numbers as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass

from reproduce.numbers.claims import Result
from reproduce.numbers.explain import signed
from reproduce.numbers.statistics import Interval
from reproduce.numbers.verdicts import FEWEST, Conclusion


@dataclass(frozen=True)
class Reading:
    """How a verdict is shown: a mark beside its text (never colour alone), a style, and what it means."""

    mark: str
    style: str
    meaning: str


VERDICTS: Mapping[Conclusion, Reading] = {
    Conclusion.reproduced: Reading(
        "✓",
        "good",
        "The 90 % Welch interval of the difference (ours − published) lies within the margin: the difference is shown "
        "to be small.",
    ),
    Conclusion.different: Reading(
        "≠",
        "bad",
        "Not reproduced, and the Welch test finds a difference: p < 0.05 after Holm’s adjustment over the averages of "
        "the table’s main metrics.",
    ),
    Conclusion.undecided: Reading(
        "?", "open", "Neither: with so few runs the difference is neither shown to be small nor shown to be there."
    ),
    Conclusion.not_enough_runs: Reading("<3", "none", f"Fewer than {FEWEST} runs on either side: nothing is tested."),
    Conclusion.runs_unstated: Reading(
        "∅",
        "none",
        "The paper does not say over how many runs. Our mean, its interval and the difference are all there is.",
    ),
    Conclusion.no_published_spread: Reading(
        "○", "none", "The paper prints no ±. Our mean, its interval and the difference are all there is."
    ),
    Conclusion.another_language: Reading(
        "↔", "none", "Our lowest language is another one than the printed one: the two numbers do not compare."
    ),
    Conclusion.incomplete: Reading("…", "none", "Runs are missing: no mean, and nothing to compare."),
}

RESULTS: Mapping[Result, Reading] = {
    Result.holds: Reading("✓", "good", "In every case (or in as many as the claim says)."),
    Result.in_part: Reading("◐", "open", "In some cases, and not in others."),
    Result.does_not_hold: Reading("✗", "bad", "In no case, or in fewer than the claim says."),
    Result.incomplete: Reading("…", "none", "Runs are missing: it is not judged on a part of them."),
    Result.unjudged: Reading("–", "none", "There are no numbers to judge it by."),
}


def number(mean: float, std: float | None = None) -> str:
    """In percent: `57.37 ± 0.32`."""
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")


def bounds(interval: Interval | None) -> str:
    """`[56.92, 57.81]`; empty for none."""
    return "" if interval is None else f"[{minus(f'{interval.low:.2f}')}, {minus(f'{interval.high:.2f}')}]"


def difference(value: float | None) -> str:
    """With its sign: `−0.31`; empty for none."""
    return "" if value is None else minus(signed(value))


def probability(p: float | None) -> str:
    """`0.034`, `< 0.001`; empty for none."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def minus(text: str) -> str:
    """A hyphen before a number is a minus sign."""
    return text.replace("-", "−")


def count(n: int, noun: str) -> str:
    """`1 run`, `12 runs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
