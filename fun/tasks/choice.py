"""Multiple choice by cause or effect, as in COPA and XCOPA: which of the choices the premise makes plausible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fun.tasks.base import TASKS, ClassesTask, Fact, Features, Row

if TYPE_CHECKING:
    from fun.tasks.base import Head, Tokenizer


def prompt(row: Row) -> str:
    """The first segment. The question is English in every language, as in the authors' code."""
    return f"{row['premise']} What was the {row['question']}?"


@TASKS.register("choice")
@dataclass(frozen=True, kw_only=True)
class ChoiceTask(ClassesTask):
    """Each choice as a pair with the prompt, of at most `max_length` tokens, cut longest first; column `label` is
    the number of the right choice."""

    choices: Annotated[tuple[str, ...], Field(min_length=2)]
    """The columns of the choices 0, 1, …"""

    @property
    def texts(self) -> tuple[str, ...]:
        return ("premise", *self.choices)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.choices

    def head(self, *, layers: int, pooler: bool) -> "Head":
        from fun.models.heads import MultipleChoiceHead

        return MultipleChoiceHead(layers=layers, use_pooler=pooler)

    def sequences(self, row: Row) -> list[tuple[str, ...]]:
        return [(prompt(row), row[choice]) for choice in self.choices]

    def check_input(self, rows: Sequence[Row], tokenizer: "Tokenizer", columns: Mapping[str, Any]) -> None:
        super().check_input(rows, tokenizer, {**columns, "question": ("cause", "effect")})

    def describe(self, rows: Sequence[Row], features: Features) -> list[Fact]:
        (_, *choices) = super().describe(rows, features)
        return [("prompt", prompt(rows[features[0].example])), *choices]
