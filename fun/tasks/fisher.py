"""The diagonal Fisher of an encoder under masked language modelling of one language's text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fun.data.base import Source
from fun.data.corpora import Sample, TestText
from fun.errors import ConfigError
from fun.tasks.base import TASKS
from fun.tasks.mlm import MaskedText

if TYPE_CHECKING:
    from fun.config import RunConfig


@TASKS.register("fisher")
@dataclass(frozen=True, kw_only=True)
class FisherTask(MaskedText):
    """F = mean over blocks of (∇ log p(ŷ|x))², ŷ the masked tokens of a block x."""

    trains: ClassVar[bool] = False
    splits: ClassVar[tuple[str, ...]] = ("train",)

    blocks: Annotated[int, Field(ge=1)]
    """Blocks of `max_length` tokens to average over; shorter text is read again, masked anew."""
    batch_size: Annotated[int, Field(ge=1)]
    """Blocks whose mean gradient is squared at once, and multiplied by their number."""
    labels: Literal["sampled", "observed"]
    """sampled: ŷ is drawn from the model, which gives the Fisher information; observed: ŷ is the text."""
    corpus: Literal["wikipedia", "xnli"]
    """wikipedia, or the text below data.root; xnli: premises and hypotheses of its test set."""

    @property
    def batches(self) -> int:
        return -(-self.blocks // self.batch_size)

    def source(self, config: "RunConfig", rows: Source, text: Callable[[Sample], Source]) -> Source:
        if self.corpus == "wikipedia":
            return text(Sample(0, self.blocks))
        in_world = config.data.root is None and config.model.source == "world"
        return TestText(rows, "micronli" if in_world else "xnli", Sample(0))

    def check(self, config: "RunConfig") -> None:
        if self.labels == "observed" and self.batch_size > 1:
            raise ConfigError(
                f"task.batch_size={self.batch_size} needs labels whose gradients have mean zero, which observed ones "
                "do not: type task.batch_size=1, or task.labels=sampled"
            )
        if config.precision != "fp32":
            raise ConfigError("task=fisher squares gradients, which precision=fp32 alone resolves: type precision=fp32")
        for group, choice in (("regularizer", config.regularizer), ("mask", config.mask)):
            if choice.name != "none":
                raise ConfigError(f"task=fisher makes no update for {group}={choice.name} to act on: leave it out")
