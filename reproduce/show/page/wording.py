"""Numbers and words as the page sets them: what its templates filter values with."""

from reproduce.numbers.statistics import Interval
from reproduce.show.explain import signed


def number(mean: float | None, std: float | None = None) -> str:
    """In percent: `57.37 ± 0.32`; a dash for none."""
    return "–" if mean is None else f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")


def spaced(text: str) -> str:
    """A table's text as the page sets it."""
    return text.replace("±", " ± ")


def bounds(interval: Interval | None) -> str:
    """`[56.92, 57.81]`; empty for none."""
    return "" if interval is None else f"[{interval.low:.2f}, {interval.high:.2f}]".replace("-", "−")


def difference(value: float | None) -> str:
    """With its sign, which is a minus and no hyphen: `−0.31`; empty for none."""
    return "" if value is None else signed(value).replace("-", "−")


def probability(p: float | None) -> str:
    """`0.034`, `< 0.001`; empty for none."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int, noun: str) -> str:
    """`1 run`, `12 runs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def sentence(text: str) -> str:
    """With a capital first."""
    return text[:1].upper() + text[1:]
