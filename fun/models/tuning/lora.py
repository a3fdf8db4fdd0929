"""LoRA (Hu et al., 2022) on query and value, which open together (FUN, appendix G.4)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fun.models.tuning.base import TUNINGS, AdapterTuning

if TYPE_CHECKING:
    from adapters import AdapterConfig


@TUNINGS.register("lora")
@dataclass(frozen=True, kw_only=True)
class Lora(AdapterTuning):
    """A product of rank `r`, times `alpha` / `r`, beside each query and value projection; no dropout."""

    r: Annotated[int, Field(ge=1)]
    """Rank."""
    alpha: Annotated[int, Field(ge=1)]
    """Scale, before it is divided by the rank."""
    language_adapter: bool
    """Whether inputs go through the language adapter of their language too."""

    @property
    def uses_language_adapters(self) -> bool:
        return self.language_adapter

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import LoRAConfig

        return LoRAConfig(r=self.r, alpha=self.alpha, dropout=0.0, attn_matrices=["q", "v"])
