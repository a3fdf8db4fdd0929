"""What every tuning is asked."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fun.models.blocks import Block
from fun.registry import Choice, Registry

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TUNINGS = Registry("adapter")


@dataclass(frozen=True, kw_only=True)
class Tuning(Choice, ABC):
    """What trains on the encoder of the adapters-library model `module`, to tune it to the task or language `name`."""

    artifact: ClassVar[str] = "adapter"
    """The folder of a run that `save` fills."""
    pretrained: ClassVar[bool] = False
    """Whether it trains all of the encoder's own weights, which a regularizer can hold near their pretrained values."""
    layered: ClassVar[bool] = True
    """Whether its parameters belong to layers, so that a schedule has something to open."""
    by_language: ClassVar[bool] = False
    """Whether it is the adapter of a language, which a task that is `by_language` trains."""

    @property
    def uses_language_adapters(self) -> bool:
        """Whether inputs go through the language adapter of their language too."""
        return False

    def attach(self, module: Any, name: str) -> None:
        """Add what trains beyond the encoder itself, with random weights from torch's global stream."""

    @abstractmethod
    def blocks(self, module: Any, name: str) -> dict[int, Block]:
        """The parameters that train once their layer is open, by layer from bottom to top; {} without layers."""

    @abstractmethod
    def always(self, module: Any, name: str) -> Block:
        """What trains from the first update to the last besides the head."""

    def activate(self, module: Any, name: str, language: str | None) -> None:
        """Send inputs through what was attached; `language` names a loaded language adapter to go through first."""
        module.set_active_adapters(None)

    @abstractmethod
    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """Write what was trained as safetensors, with the head if `head`, for the plain libraries."""

    @abstractmethod
    def load(self, module: Any, name: str, folder: Path) -> None:
        """Read back what `save` wrote, head included."""
