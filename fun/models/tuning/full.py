"""Full fine-tuning: no adapter, every parameter of the encoder trains (FUN, Table 7)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fun.models.tuning.base import TUNINGS, Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fun.models.blocks import Block


@TUNINGS.register("full")
@dataclass(frozen=True, kw_only=True)
class Full(Tuning):
    """A layer's block is all of its parameters; the pooler trains like the head."""

    artifact: ClassVar[str] = "model"
    pretrained: ClassVar[bool] = True

    embeddings: Literal["always", "layer0"] = "always"
    """Whether the embeddings train from the first update on, or once layer 0 is open."""

    def attach(self, module: Any, name: str) -> None:
        """Nothing is added."""

    def blocks(self, module: Any, name: str) -> "dict[int, Block]":
        from fun.models.blocks import encoder_blocks, outside

        blocks = encoder_blocks(module)
        if self.embeddings == "layer0":
            blocks[0] = outside(module, embeddings=True) | blocks[0]
        return blocks

    def always(self, module: Any, name: str) -> "Block":
        from fun.models.blocks import outside

        rest = outside(module, embeddings=False)
        return rest | outside(module, embeddings=True) if self.embeddings == "always" else rest

    def activate(self, module: Any, name: str, language: str | None) -> None:
        module.set_active_adapters(None)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `AutoAdapterModel.from_pretrained(folder)`, or `AutoModel` without its head."""
        module.save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))

    def load(self, module: Any, name: str, folder: Path) -> None:
        from safetensors.torch import load_model

        load_model(module, folder / "model.safetensors", device=str(module.device))
