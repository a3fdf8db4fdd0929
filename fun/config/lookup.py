"""Fills null fields from rules: the papers' hyperparameters and the protocols' presets are such rules.

A rule is `{<selector>: [names], …, set: {dotted.field: value}, source: text}`. It applies where every selector
names the run's choice, and it fills fields that are still null; among the rules of one list the later wins.
`source` says where the values come from: a table of the paper, or `ours: <reason>` where no source gives them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

SELECTORS = ("task", "model", "adapter", "schedule", "data_size")

# Two ways to give one budget: a value for either means that the rules leave both alone.
EITHER = ("train.epochs", "train.updates")


def fill(values: dict[str, Any], rules: Sequence[Mapping[str, Any]], origin: str) -> dict[str, str]:
    """Fill null fields of the nested `values` in place from `rules` (read from file `origin`).

    Returns each filled field's `source`, if its rule names one. Raises ValueError for a rule with an unknown
    selector or a field that the configuration does not have: a mistake in the data, which must not pass as
    "no value".
    """
    looked_up: dict[str, tuple[Any, str | None]] = {}
    for rule in rules:
        if unknown := set(rule) - {*SELECTORS, "set", "source"}:
            raise ValueError(f"{origin}: a rule has {sorted(unknown)}; expected {', '.join(SELECTORS)}, set or source")
        if all(values[name]["name"] in rule[name] for name in SELECTORS if name in rule):
            looked_up |= {field: (value, rule.get("source")) for field, value in rule["set"].items()}
    budget_given = any(_get(values, field, origin) is not None for field in EITHER)
    sources: dict[str, str] = {}
    for field, (value, source) in looked_up.items():
        if field in EITHER and budget_given:
            continue
        if _get(values, field, origin) is None:
            section, _, key = field.rpartition(".")
            values[section][key] = value
            if source is not None:
                sources[field] = source
    return sources


def _get(values: Mapping[str, Any], field: str, origin: str) -> Any:
    section, _, key = field.rpartition(".")
    if section not in values or key not in values[section]:
        raise ValueError(f"{origin}: a rule sets {field}, which this configuration does not have")
    return values[section][key]
