"""A table of settings, filled: our values from the configuration and the facts about data sets, beside the printed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import singledispatch
from itertools import groupby

from fun.data.facts import facts
from fun.errors import ConfigError
from fun.inputs import compose, flat
from reproduce.declare.papers import Target
from reproduce.declare.parts import words
from reproduce.declare.settings import Hyperparameters, Languages, Statistics
from reproduce.runs.store import configuration


@dataclass(frozen=True)
class Cell:
    """A value beside the printed one, both as texts; `printed` is empty where the paper prints none.

    `errata` are known errors of what is printed.
    """

    value: str
    printed: str
    errata: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.printed) and self.value != self.printed


@dataclass(frozen=True)
class Sheet:
    """A filled table of settings: `rows` are (panel, row, cells by column), all with the same columns."""

    target: Target
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]

    @property
    def compared(self) -> tuple[int, int]:
        """How many values are as printed, and how many are printed."""
        printed = [cell for _, _, cells in self.rows for cell in cells if cell.printed]
        return sum(not cell.differs for cell in printed), len(printed)


@singledispatch
def fill(target: Target) -> Sheet:
    """Compare every value of a table of settings with what is printed; for each kind of table a function of its own."""
    raise TypeError(f"{target.name} is no table of settings")


@fill.register
def _(target: Hyperparameters) -> Sheet:
    published, rows = target.paper.published, []
    for panel_name, panel in target.panels.items():
        for row_name, row in target.rows.items():
            cells = []
            for column_name, column in target.columns.items():
                runs = [target.runs[name] for name in column.runs]
                overrides = (row.overrides, panel.overrides, target.overrides)
                values = [_value(words(*overrides, run.overrides), column.field) for run in runs]
                selected = {**target.published, **panel.published, **row.published, **column.published}
                printed = [published.setting({**selected, **run.published}) for run in runs]
                where = {**target.published, "dataset": panel_name, "model": row_name, "column": column_name}
                cells.append(Cell(_joined(map(_text, values)), _joined(map(_text, printed)), published.errata(where)))
            rows.append((panel.label, row.label, tuple(cells)))
    return Sheet(target, tuple(column.label for column in target.columns.values()), tuple(rows))


@fill.register
def _(target: Statistics) -> Sheet:
    columns = {"n_train_en": "n. train (En)", "n_val_en": "n. val (En)", "n_test": "n. test", "n_lang": "n. lang"}
    published, rows = target.paper.published, []
    for name in target.rows:
        dataset = target.paper.datasets[name]
        trained = facts(compose([dataset.overrides]).task.training_set)
        tests = sorted({facts(dataset.reads).expected_rows(language, "test") for language in dataset.targets})
        values = (
            _text(trained.expected_rows("en", "train")),
            _text(trained.expected_rows("en", "validation")),
            _range(tests),
            _text(len(dataset.targets)),
        )
        cells = []
        for key, value in zip(columns, values, strict=True):
            selected = {**target.published, "dataset": name}
            ends = [published.setting({**selected, "key": f"{key}{end}"}) for end in ("", "_min", "_max")]
            printed = _range([int(end) for end in ends if end])
            cells.append(Cell(value, printed, published.errata({**selected, "column": key})))
        rows.append(("", f"{trained.name} / {name}", tuple(cells)))
    return Sheet(target, tuple(columns.values()), tuple(rows))


@fill.register
def _(target: Languages) -> Sheet:
    rows = []
    for code, name in target.names.items():
        printed = target.paper.published.setting({**target.published, "key": f"language_code:{name}"})
        tests = [dataset.label for dataset in target.paper.datasets.values() if code in dataset.targets]
        rows.append(("", name, (Cell(code, printed or ""), Cell(", ".join(tests), ""))))
    return Sheet(target, ("Code", "Target language of"), tuple(rows))


def _value(overrides: Sequence[str], field: str) -> object:
    """What the configuration gives a run. Raises ConfigError where it has no such field."""
    active = flat(configuration(overrides).active())
    if field not in active:
        raise ConfigError(f"{field} is not a field of the run {' '.join(overrides)}; it has {', '.join(active)}.")
    return active[field]


def _joined(values: Iterable[str]) -> str:
    """`5`, or `500/5000` where standard and scheduled runs differ; a value after an equal one is left out."""
    return "/".join(value for value, _ in groupby(filter(None, values)))


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
    if number and abs(number) < Decimal("0.01"):
        sign, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        return f"{Decimal((sign, digits, 1 - len(digits)))}e{exponent + len(digits) - 1}"
    return f"{number:f}"
