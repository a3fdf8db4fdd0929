"""MAD-X: a bottleneck adapter in every layer, on top of the frozen one of the language (Pfeiffer et al., 2020)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fun.models.tuning.base import TUNINGS, AdapterTuning, Nonlinearity

if TYPE_CHECKING:
    from adapters import AdapterConfig


@TUNINGS.register("madx")
@dataclass(frozen=True, kw_only=True)
class Madx(AdapterTuning):
    """A bottleneck after the FFN of every layer; no invertible block of its own (FUN, appendix B)."""

    reduction: Annotated[int, Field(ge=1)]
    """Hidden size / bottleneck size."""
    nonlinearity: Nonlinearity
    """Between down and up projection."""
    language_adapter: bool
    """Whether inputs go through the language adapter of their language too."""

    @property
    def uses_language_adapters(self) -> bool:
        return self.language_adapter

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import SeqBnConfig

        return SeqBnConfig(reduction_factor=self.reduction, non_linearity=self.nonlinearity)
