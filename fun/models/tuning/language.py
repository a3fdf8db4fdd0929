"""The language adapter itself, which task=mlm trains (MAD-X; Pfeiffer et al., 2020)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fun.models.tuning.base import TUNINGS, AdapterTuning, Nonlinearity

if TYPE_CHECKING:
    from adapters import AdapterConfig


@TUNINGS.register("language")
@dataclass(frozen=True, kw_only=True)
class Language(AdapterTuning):
    """A bottleneck after the FFN of every layer, and an invertible NICE block half as wide as the embeddings."""

    by_language: ClassVar[bool] = True

    reduction: Annotated[int, Field(ge=1)]
    """Hidden size / bottleneck size."""
    nonlinearity: Nonlinearity
    """Of the bottleneck."""

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import SeqBnInvConfig

        return SeqBnInvConfig(
            reduction_factor=self.reduction,
            non_linearity=self.nonlinearity,
            inv_adapter="nice",
            inv_adapter_reduction_factor=2,
        )
