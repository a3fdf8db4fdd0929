"""From a number of a table to its runs: what was found of each, its values, and what became of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fun.errors import ConfigError
from fun.inputs import run_folder
from fun.results import RunFolder, State
from fun.results.record import Selected
from reproduce.declare.parts import Run
from reproduce.declare.tables import Over, Place, Table
from reproduce.numbers.cells import Grid
from reproduce.runs.store import Done, Results, command, configuration, value


@dataclass(frozen=True)
class Behind:
    """A run behind a number: of one of its declared replicates, in all its languages or in some.

    `folder` is relative to the results root. `values` are in percent by language; `average` is what its replicate
    enters the number with, None where a language is missing. `reason` says what is wrong with the run, in one line,
    and `to_type` the command that fills the gap; both are empty where nothing is missing.
    """

    replicate: str
    run_id: str
    folder: str
    state: State
    selected: Selected | None
    values: Mapping[str, float]
    average: float | None
    reason: str
    to_type: str


def places(table: Table, names: Sequence[str]) -> list[Place]:
    """The numbers that `panel row dataset column [metric]` name. Raises ConfigError that names the valid ones.

    A column may also be called as in the published numbers: `avg`, or the source language's code.
    """
    panel, row, dataset, column, *metric = names
    _among(panel, table.panels, "panel", table)
    _among(row, table.rows, "row", table)
    _among(dataset, table.datasets, "dataset", table)
    declared = table.datasets[dataset]
    columns = [name for name in table.columns if table.metrics(name, declared)]
    if column not in columns:
        column = next((name for name in columns if table.over(name).printed(declared) == column), column)
    _among(column, columns, "column", table)
    metrics = table.metrics(column, declared)
    for name in metric:
        _among(name, metrics, "metric", table)
    return [Place(panel, row, dataset, column, name) for name in metric or metrics]


def languages_of(grid: Grid, place: Place) -> tuple[str, ...]:
    """What a number is over; nothing where the lowest language is not known yet, nor of a mean of data sets."""
    language = None if grid.target.mean_of(place) else grid.cells[place].language
    over = Over(language) if language else grid.target.over(place.column)
    return () if language is None else over.languages(grid.target.datasets[place.dataset])


def behind(grid: Grid, results: Results, place: Place, root: Path) -> Iterator[Behind]:
    """The runs behind a number; `results` are those that the table was filled from, below `root`."""
    table, statistic = grid.target, grid.cells[place].statistic
    languages, sources = languages_of(grid, place), table.sources(place)
    averages = statistic.values if statistic else (None,) * len(sources)
    replicates = table.replicates_of(place.row, place.dataset)
    dataset = table.datasets[place.dataset].reads
    for replicate, source, average in zip(replicates, sources, averages, strict=True):
        for run in dict.fromkeys(source[language] for language in languages or source):
            result = results[run]
            if isinstance(result, Done):
                folder, state, option, selected = result.run, State.DONE, "", result.record.selected
                reason = f"done, but {result.lacks}" if result.lacks else ""
                read = [language for language in languages if source[language] == run]
                numbers = {language: value(result.record, dataset, language, place.metric) for language in read}
            else:
                folder, state, option, selected = _planned(run, root), result.state, result.option, None
                reason, numbers = below(root, " ".join(result.reason.split())), {}
            yield Behind(
                replicate,
                folder.run_id,
                str(folder.path.relative_to(root)),
                state,
                selected,
                {language: number for language, number in numbers.items() if number is not None},
                average,
                reason,
                to_type=command((*run, *filter(None, [option]))) if reason or state is not State.DONE else "",
            )


@cache
def _planned(run: Run, root: Path) -> RunFolder:
    return run_folder(configuration(run), root)


def below(root: Path, text: str) -> str:
    """A text whose paths below `root` begin there: no other part of a machine's paths is anybody's business."""
    return text.replace(f"{root}/", "")


def _among(name: str, valid: Collection[str], what: str, table: Table) -> None:
    if name not in valid:
        raise ConfigError(f"{table.name} has no {what} '{name}'; valid: {', '.join(valid)}.")
