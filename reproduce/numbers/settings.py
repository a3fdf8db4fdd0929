"""A table of settings, filled: our values from the configuration and the facts about data sets, beside the printed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import singledispatch
from itertools import groupby, product

from fun.data.facts import facts
from fun.errors import ConfigError
from fun.inputs import compose, flat
from reproduce.declare.papers import Target
from reproduce.declare.parts import words
from reproduce.declare.settings import Hyperparameters, Languages, Statistics
from reproduce.runs.store import configuration


@dataclass(frozen=True)
class Comparison:
    """What stands at the labels of a panel, a row and a column, beside the printed one (empty where none is)."""

    panel: str
    row: str
    column: str
    text: str
    printed: str
    errata: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.printed) and self.text != self.printed


@singledispatch
def fill(target: Target) -> list[Comparison]:
    """Every value of a table of settings, row by row; for each kind of table a function of its own."""
    raise TypeError(f"{target.name} is no table of settings")


@fill.register
def _(target: Hyperparameters) -> list[Comparison]:
    published, values = target.paper.published, []
    cells = product(target.panels.items(), target.rows.items(), target.columns.items())
    for (panel, in_panel), (row, in_row), (column, of) in cells:
        runs = [target.runs[name] for name in of.runs]
        overrides = (in_row.overrides, in_panel.overrides, target.overrides)
        ours = [_value(words(*overrides, run.overrides), of.field) for run in runs]
        selected = {**target.published, **in_panel.published, **in_row.published, **of.published}
        printed = [published.setting({**selected, **run.published}) for run in runs]
        errata = published.errata({**target.published, "dataset": panel, "model": row, "column": column})
        values.append(Comparison(in_panel.label, in_row.label, of.label, _joined(ours), _joined(printed), errata))
    return values


@fill.register
def _(target: Statistics) -> list[Comparison]:
    published, values = target.paper.published, []
    for name in target.rows:
        dataset = target.paper.datasets[name]
        trained = facts(compose([dataset.overrides]).task.training_set)
        tests = sorted({facts(dataset.reads).expected_rows(language, "test") for language in dataset.targets})
        ours = {
            ("n_train_en", "n. train (En)"): _text(trained.expected_rows("en", "train")),
            ("n_val_en", "n. val (En)"): _text(trained.expected_rows("en", "validation")),
            ("n_test", "n. test"): _range(tests),
            ("n_lang", "n. lang"): _text(len(dataset.targets)),
        }
        for (key, column), value in ours.items():
            selected = {**target.published, "dataset": name}
            ends = [published.setting({**selected, "key": f"{key}{end}"}) for end in ("", "_min", "_max")]
            printed = _range([int(end) for end in ends if end])
            errata = published.errata({**selected, "column": key})
            values.append(Comparison("", f"{trained.name} / {name}", column, value, printed, errata))
    return values


@fill.register
def _(target: Languages) -> list[Comparison]:
    values = []
    for code, name in target.names.items():
        printed = target.paper.published.setting({**target.published, "key": f"language_code:{name}"})
        tests = [dataset.label for dataset in target.paper.datasets.values() if code in dataset.targets]
        values += [
            Comparison("", name, "Code", code, printed),
            Comparison("", name, "Target language of", ", ".join(tests), ""),
        ]
    return values


def _value(overrides: Sequence[str], field: str) -> object:
    """What the configuration gives a run. Raises ConfigError where it has no such field."""
    active = flat(configuration(overrides).active())
    if field not in active:
        raise ConfigError(f"{field} is not a field of the run {' '.join(overrides)}; it has {', '.join(active)}.")
    return active[field]


def _joined(values: Iterable[object]) -> str:
    """`5`, or `500/5000` where standard and scheduled runs differ."""
    return "/".join(value for value, _ in groupby(filter(None, map(_text, values))))


def _range(values: Sequence[int]) -> str:
    return " - ".join(str(value) for value in dict.fromkeys((values[0], values[-1]))) if values else ""


def _text(value: object) -> str:
    """Numbers in one spelling, however they are typed or printed: `5e-4`, `800`; empty for None."""
    if value is None:
        return ""
    try:
        number = Decimal(str(value)).normalize()
    except InvalidOperation:
        return str(value)
    return f"{number:e}" if 0 < abs(number) < Decimal("0.01") else f"{number:f}"
