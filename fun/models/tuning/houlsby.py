"""Houlsby's adapters: two bottlenecks in every layer, common to all languages (Houlsby et al., 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fun.errors import ConfigError
from fun.models.tuning.base import TUNINGS, AdapterTuning, Nonlinearity

if TYPE_CHECKING:
    from adapters import AdapterConfig


@TUNINGS.register("houlsby")
@dataclass(frozen=True, kw_only=True)
class Houlsby(AdapterTuning):
    """A bottleneck behind the attention and one behind the FFN; the encoder's layer norms stay frozen."""

    size: Annotated[int, Field(ge=1)]
    """Of the bottleneck; a divisor of the encoder's hidden size."""
    nonlinearity: Nonlinearity
    """Between down and up projection."""

    def config(self, hidden: int) -> "AdapterConfig":
        """Raises ConfigError for a size that does not divide `hidden`."""
        from adapters import DoubleSeqBnConfig

        if hidden % self.size:
            raise ConfigError(
                f"adapter.size is {self.size}, and the encoder's hidden size {hidden}: type adapter.size=…, a divisor"
            )
        return DoubleSeqBnConfig(reduction_factor=hidden // self.size, non_linearity=self.nonlinearity)
