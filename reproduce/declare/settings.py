"""What a table of settings is made of, as declared under `settings:` in `papers/*.yaml`. One class per kind of table.

It needs no runs: its values are those that the configuration gives a run, or the facts about a data set.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reproduce.declare.parts import Dataset, Declaration, Group, Needed

if TYPE_CHECKING:
    from reproduce.declare.papers import Paper


class Setting(Declaration):
    """A column: a field of the configuration in each of `runs`; what they share is printed once.

    `published` adds to the selection of the published values.
    """

    label: str
    field: str
    runs: tuple[str, ...] = Field(min_length=1)
    published: Mapping[str, str] = {}


class _Settings(Declaration):
    title: str
    published: Mapping[str, str] = {}

    def needed(self, paper: "Paper") -> list[Needed]:
        """No runs."""
        return []


class Hyperparameters(_Settings):
    """Values that the configuration looks up (FUN, Tables 3, 4 and 15): panels of tasks, rows of models.

    A cell's runs are those of its panel, row and table together with each of the column's `runs`.
    """

    kind: Literal["hyperparameters"]
    overrides: str
    panels: dict[str, Group]
    rows: dict[str, Group]
    runs: dict[str, Group]
    columns: dict[str, Setting]


class Statistics(_Settings):
    """Sizes of data sets (FUN, Table 5): a row per test set, with the data set that its task is trained on."""

    kind: Literal["statistics"]
    rows: tuple[str, ...]


class Languages(_Settings):
    """Names and codes of all target languages (FUN, Table 6), as `names` by code."""

    kind: Literal["languages"]
    names: dict[str, str]


Settings = Annotated[Hyperparameters | Statistics | Languages, Field(discriminator="kind")]
"""A declaration of a table of settings; its `kind` says which."""


def problems(declared: Hyperparameters | Statistics | Languages, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """What is wrong with a declaration beyond its types, one line each; none where it is fine."""
    match declared:
        case Hyperparameters():
            for name, column in declared.columns.items():
                for run in column.runs:
                    if run not in declared.runs:
                        yield f"columns.{name}.runs: '{run}' is not declared; valid: {', '.join(declared.runs)}"
        case Statistics():
            for row in declared.rows:
                if row not in datasets:
                    yield f"rows: '{row}' is not declared; valid: {', '.join(datasets)}"
        case Languages():
            targets = {language for dataset in datasets.values() for language in dataset.targets}
            for code in declared.names:
                if code not in targets:
                    yield f"names: '{code}' is the target language of no dataset"
