"""What every tuning is asked, and what the adapters of the adapters library have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fun.registry import Choice, Registry

if TYPE_CHECKING:
    from adapters import AdapterConfig
    from transformers import PreTrainedTokenizerBase

    from fun.models.blocks import Block

TUNINGS = Registry("adapter")
"""The kinds of tuning, by the name of their yaml in conf/adapter."""

Nonlinearity = Literal["relu", "gelu", "swish", "tanh"]


@dataclass(frozen=True, kw_only=True)
class Tuning(Choice, ABC):
    """What trains on an encoder besides the head.

    `module` is an adapters-library model everywhere, and `name` the name of the task or language it is tuned to.
    """

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

    @abstractmethod
    def attach(self, module: Any, name: str) -> None:
        """Add what trains, with random weights from torch's global stream."""

    @abstractmethod
    def blocks(self, module: Any, name: str) -> "dict[int, Block]":
        """The parameters that train once their layer is open, by layer from bottom to top; {} without layers."""

    @abstractmethod
    def always(self, module: Any, name: str) -> "Block":
        """What trains from the first update to the last besides the head."""

    @abstractmethod
    def activate(self, module: Any, name: str, language: str | None) -> None:
        """Send inputs through what was attached; `language` names a loaded language adapter to go through first."""

    @abstractmethod
    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """Write what was trained as safetensors, with the head if `head`, for the plain libraries."""

    @abstractmethod
    def load(self, module: Any, name: str, folder: Path) -> None:
        """Read back what `save` wrote, head included."""


@dataclass(frozen=True, kw_only=True)
class AdapterTuning(Tuning):
    """An adapter of the adapters library; all else is frozen, language adapters below it too."""

    @abstractmethod
    def config(self, hidden: int) -> "AdapterConfig":
        """The adapter for an encoder of `hidden` numbers per token, as the library's configuration."""

    def attach(self, module: Any, name: str) -> None:
        module.add_adapter(name, config=self.config(module.config.hidden_size))

    def blocks(self, module: Any, name: str) -> "dict[int, Block]":
        from fun.models.blocks import task_blocks

        return task_blocks(module, name)

    def always(self, module: Any, name: str) -> "Block":
        """An invertible block, if the adapter has one."""
        part = f".invertible_adapters.{name}."
        return {n: parameter for n, parameter in module.named_parameters() if part in f".{n}"}

    def activate(self, module: Any, name: str, language: str | None) -> None:
        from adapters.composition import Stack

        module.set_active_adapters(Stack(language, name) if language else name)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `load_adapter(folder, use_safetensors=True)`."""
        module.save_adapter(str(folder), name, use_safetensors=True, with_head=head)

    def load(self, module: Any, name: str, folder: Path) -> None:
        module.load_adapter(str(folder), load_as=name, use_safetensors=True)
