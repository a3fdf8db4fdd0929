"""Tables of settings, which need no runs: what the configuration gives a run, or the facts about a data set."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from reproduce.declare.papers import KINDS, Target
from reproduce.declare.parts import Declaration, Group, undeclared


class Setting(Declaration):
    """A column: a field of the configuration in each of `runs`; what they share is printed once."""

    label: str
    field: str
    runs: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}


class Settings(Target):
    """What every table of settings has: `published` selects what settings.csv says of it."""

    published: Mapping[str, str] = {}


@KINDS.register("hyperparameters")
class Hyperparameters(Settings):
    """Values that the configuration looks up (FUN, Tables 3, 4 and 15): for the runs that a panel, a row, the table and
    each of a column's `runs` override together."""

    overrides: str
    panels: dict[str, Group]
    rows: dict[str, Group]
    runs: dict[str, Group]
    columns: dict[str, Setting]

    def problems(self) -> Iterator[str]:
        for name, column in self.columns.items():
            yield from undeclared(f"columns.{name}.runs", column.runs, self.runs)


@KINDS.register("statistics")
class Statistics(Settings):
    """Sizes of data sets (FUN, Table 5): a row per test set, with the data set that its task is trained on."""

    rows: tuple[str, ...]

    def problems(self) -> Iterator[str]:
        yield from undeclared("rows", self.rows, self.paper.datasets)


@KINDS.register("languages")
class Languages(Settings):
    """Names and codes of all target languages (FUN, Table 6), as `names` by code."""

    names: dict[str, str]

    def problems(self) -> Iterator[str]:
        targets = {language for dataset in self.paper.datasets.values() for language in dataset.targets}
        yield from (
            f"names: '{code}' is the target language of no dataset" for code in self.names if code not in targets
        )
