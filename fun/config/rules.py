"""Fills null fields from the rules of a paper: conf/paper/<paper>.yaml names the files that hold them.

A rule is `{<selector>: [names], …, set: {dotted.field: value}, source: text}`. It applies where every selector names
the run's choice, and fills fields that are still null; of two rules for one field the later wins. `source` says where
the values come from: a table of the paper, or `ours: <reason>` where no source gives them.

A file is `{for: {<selector>: [names]}, rules: [...]}`, and `for` holds for all of its rules. With `like: <file>` the
other file's rules come before its own, whatever that file is for; what they have from a source is then said as the
file's own `source` says it, with {source} in it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from fun.errors import ConfigError
from fun.paths import CONFIG_DIR
from fun.yaml_files import from_yaml

Rule = Mapping[str, Any]

OURS = "ours: "
"""How the source of a value begins that no source gives."""

SELECTORS = ("task", "model", "adapter", "schedule", "regularizer", "mask", "data_size", "setting")

# Two ways to give one budget: a value for either means that the rules leave both alone.
EITHER = ("train.epochs", "train.updates")


def fill(values: dict[str, Any], entries: Sequence[str | Rule]) -> dict[str, str]:
    """Fill null fields of the nested `values` in place from a paper's `entries`: files below conf/paper, or rules.

    Returns each filled field's `source`, if its rule names one. Raises ConfigError for a file that is not there and for
    a setting that no rule is for, and ValueError for a rule that sets a field which the configuration does not have: a
    mistake in the data, which must not pass as "no value".
    """
    if (setting := values.get("setting")) is not None and setting not in (known := _settings(entries)):
        has = f"settings {', '.join(map(str, sorted(known)))}" if known else "no settings: leave it out"
        raise ConfigError(f"setting is {setting!r}; paper={values['paper']['name']} has {has}")
    looked_up: dict[str, tuple[Any, str | None]] = {}
    for entry in entries:
        selectors, rules = _rules(entry) if isinstance(entry, str) else ({}, [entry])
        for rule in rules if _applies(selectors, values) else ():
            if _applies(rule, values):
                looked_up |= {field: (value, rule.get("source")) for field, value in rule["set"].items()}
    budgets = (section[key] for section, key in (_place(values, field) for field in EITHER))
    given = EITHER if any(budget is not None for budget in budgets) else ()
    sources: dict[str, str] = {}
    for field, (value, source) in looked_up.items():
        section, key = _place(values, field)
        if section[key] is None and field not in given:
            section[key] = value
            if source is not None:
                sources[field] = source
    return sources


def _settings(entries: Sequence[str | Rule]) -> set[int]:
    """The settings that a paper's rules are for, of whatever model or task."""
    rules = (rule for entry in entries for rule in (_rules(entry)[1] if isinstance(entry, str) else [entry]))
    return {setting for rule in rules for setting in rule.get("setting", ()) if setting is not None}


def _applies(selectors: Rule, values: Mapping[str, Any]) -> bool:
    if unknown := set(selectors) - {*SELECTORS, "set", "source"}:
        raise ValueError(f"conf/paper: a rule has {sorted(unknown)}; expected {', '.join(SELECTORS)}, set or source")
    chosen = {name: values[name] for name in SELECTORS if name in selectors}
    names = {group: choice["name"] if isinstance(choice, Mapping) else choice for group, choice in chosen.items()}
    return all(name in selectors[group] for group, name in names.items())


@cache
def _rules(file: str) -> tuple[Rule, Sequence[Rule]]:
    """What a file is for, and its rules. Raises ConfigError and ValueError, as `fill`."""
    path = CONFIG_DIR / "paper" / f"{file}.yaml"
    if not path.is_file():
        raise ConfigError(f"conf/paper/{file}.yaml is missing: a paper's values are looked up there")
    content: dict[str, Any] = from_yaml(path.read_text(encoding="utf-8"))
    rules: list[Rule] = content["rules"]
    if "like" in content:

        def retold(source: str) -> str:
            return source if source.startswith(OURS) else str(content["source"]).format(source=source)

        rules = [{**rule, "source": retold(rule["source"])} for rule in _rules(content["like"])[1]] + rules
    return content.get("for", {}), rules


def _place(values: Any, field: str) -> tuple[dict[str, Any], str]:
    """The section that has `field`, and its key there."""
    section, _, key = field.rpartition(".")
    inner = values.get(section, {}) if section else values
    if key not in inner:
        raise ValueError(f"conf/paper: a rule sets {field}, which this configuration does not have")
    return inner, key
