"""The encoder's own parameters train: all of them, or its biases alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fun.models.blocks import Block, encoder_blocks, outside
from fun.models.tuning.base import TUNINGS, Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BIASES = "biases.safetensors"


@TUNINGS.register("full")
@dataclass(frozen=True, kw_only=True)
class Full(Tuning):
    """Full fine-tuning (FUN, Table 7): a layer's block is all of its parameters; the pooler trains like the head."""

    artifact: ClassVar[str] = "model"
    pretrained: ClassVar[bool] = True

    embeddings: Literal["always", "layer0"] = "always"
    """Whether the embeddings train from the first update on, or once layer 0 is open."""

    def blocks(self, module: Any, name: str) -> dict[int, Block]:
        blocks = encoder_blocks(module)
        if self.embeddings == "layer0":
            blocks[0] = outside(module, embeddings=True) | blocks[0]
        return blocks

    def always(self, module: Any, name: str) -> Block:
        rest = outside(module, embeddings=False)
        return rest | outside(module, embeddings=True) if self.embeddings == "always" else rest

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `AutoAdapterModel.from_pretrained(folder)`, or `AutoModel` without its head."""
        module.save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))

    def load(self, module: Any, name: str, folder: Path) -> None:
        from safetensors.torch import load_model

        load_model(module, folder / "model.safetensors", device=str(module.device))


@TUNINGS.register("bitfit")
@dataclass(frozen=True, kw_only=True)
class BitFit(Tuning):
    """The biases alone (Ben Zaken et al., 2022): a layer's block is its biases, those of its layer norms too.

    The embeddings' train from the first update on, and the pooler's where the head reads the pooler.
    """

    artifact: ClassVar[str] = "biases"

    def blocks(self, module: Any, name: str) -> dict[int, Block]:
        return {layer: _biases(block) for layer, block in encoder_blocks(module).items()}

    def always(self, module: Any, name: str) -> Block:
        pooler = outside(module, embeddings=False) if module.heads[name].config.get("use_pooler") else {}
        return _biases(outside(module, embeddings=True) | pooler)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `load_state_dict(…, strict=False)` of the same encoder with this head."""
        from safetensors.torch import save_file

        trained = self.always(module, name)
        for block in self.blocks(module, name).values():
            trained |= block
        trained |= {n: p for n, p in module.named_parameters() if n.startswith(f"heads.{name}.")}
        save_file({n: p.detach().contiguous() for n, p in trained.items()}, folder / BIASES)

    def load(self, module: Any, name: str, folder: Path) -> None:
        from safetensors.torch import load_file

        module.load_state_dict(load_file(folder / BIASES, device=str(module.device)), strict=False)


def _biases(block: Block) -> Block:
    return {name: parameter for name, parameter in block.items() if name.endswith(".bias")}
