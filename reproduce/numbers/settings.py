"""A table of settings, filled: our values from the configuration and the facts about data sets, beside the printed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby

from fun.data.facts import facts, training_set
from fun.errors import ConfigError
from fun.inputs.identity import flat
from reproduce.declare.papers import Paper, Target
from reproduce.declare.parts import words
from reproduce.declare.published import Published
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


def fill(target: Target, published: Published) -> Sheet:
    """Compare every value of a table of settings with what is printed."""
    match target.settings:
        case Hyperparameters() as declared:
            return Sheet(target, *_hyperparameters(declared, published))
        case Statistics() as declared:
            return Sheet(target, *_statistics(declared, target.paper, published))
        case Languages() as declared:
            return Sheet(target, *_languages(declared, target.paper, published))


Rows = tuple[tuple[str, str, tuple[Cell, ...]], ...]


def _hyperparameters(declared: Hyperparameters, published: Published) -> tuple[tuple[str, ...], Rows]:
    rows = []
    for panel_name, panel in declared.panels.items():
        for row_name, row in declared.rows.items():
            cells = []
            for column_name, column in declared.columns.items():
                runs = [declared.runs[name] for name in column.runs]
                shared_overrides = (row.overrides, panel.overrides, declared.overrides)
                values = [_value(words(*shared_overrides, run.overrides), column.field) for run in runs]
                shared = {**declared.published, **panel.published, **row.published, **column.published}
                printed = [published.setting({**shared, **run.published}) for run in runs]
                where = {**declared.published, "dataset": panel_name, "model": row_name, "column": column_name}
                cells.append(Cell(_joined(map(_text, values)), _joined(map(_text, printed)), published.touching(where)))
            rows.append((panel.label, row.label, tuple(cells)))
    return tuple(column.label for column in declared.columns.values()), tuple(rows)


def _statistics(declared: Statistics, paper: Paper, published: Published) -> tuple[tuple[str, ...], Rows]:
    columns = {"n_train_en": "n. train (En)", "n_val_en": "n. val (En)", "n_test": "n. test", "n_lang": "n. lang"}
    rows = []
    for name in declared.rows:
        dataset = paper.datasets[name]
        trained = facts(training_set(dataset.overrides.removeprefix("task=")))
        tests = sorted({facts(name).expected_rows(language, "test") for language in dataset.targets})
        values = (
            _text(trained.expected_rows("en", "train")),
            _text(trained.expected_rows("en", "validation")),
            _range(tests),
            _text(len(dataset.targets)),
        )
        cells = []
        for key, value in zip(columns, values, strict=True):
            selected = {**declared.published, "dataset": name}
            ends = [published.setting({**selected, "key": f"{key}{end}"}) for end in ("", "_min", "_max")]
            printed = _range([int(end) for end in ends if end])
            cells.append(Cell(value, printed, published.touching({**selected, "column": key})))
        rows.append(("", f"{trained.name} / {name}", tuple(cells)))
    return tuple(columns.values()), tuple(rows)


def _languages(declared: Languages, paper: Paper, published: Published) -> tuple[tuple[str, ...], Rows]:
    rows = []
    for code, name in declared.names.items():
        printed = published.setting({**declared.published, "key": f"language_code:{name}"})
        tests = [dataset.label for dataset in paper.datasets.values() if code in dataset.targets]
        rows.append(("", name, (Cell(code, printed or ""), Cell(", ".join(tests), ""))))
    return ("Code", "Target language of"), tuple(rows)


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
