"""BitFit: the encoder's biases train, and nothing else of it (Ben Zaken et al., 2022)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fun.models.tuning.base import TUNINGS, Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fun.models.blocks import Block

FILE = "biases.safetensors"


@TUNINGS.register("bitfit")
@dataclass(frozen=True, kw_only=True)
class BitFit(Tuning):
    """A layer's block is its biases, those of its layer norms too; the embeddings' train from the first update on, and
    the pooler's where the head reads the pooler."""

    artifact: ClassVar[str] = "biases"

    def attach(self, module: Any, name: str) -> None:
        """Nothing is added."""

    def blocks(self, module: Any, name: str) -> "dict[int, Block]":
        from fun.models.blocks import encoder_blocks

        return {layer: _biases(block) for layer, block in encoder_blocks(module).items()}

    def always(self, module: Any, name: str) -> "Block":
        from fun.models.blocks import outside

        pooler = outside(module, embeddings=False) if module.heads[name].config.get("use_pooler") else {}
        return _biases(outside(module, embeddings=True) | pooler)

    def activate(self, module: Any, name: str, language: str | None) -> None:
        module.set_active_adapters(None)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `load_state_dict(…, strict=False)` of the same encoder with this head."""
        from safetensors.torch import save_file

        save_file({n: p.detach().contiguous() for n, p in self._trained(module, name).items()}, folder / FILE)

    def load(self, module: Any, name: str, folder: Path) -> None:
        from safetensors.torch import load_file

        module.load_state_dict(load_file(folder / FILE, device=str(module.device)), strict=False)

    def _trained(self, module: Any, name: str) -> "Block":
        biases = [self.always(module, name), *self.blocks(module, name).values()]
        head = {n: p for n, p in module.named_parameters() if n.startswith(f"heads.{name}.")}
        return {n: p for block in (*biases, head) for n, p in block.items()}


def _biases(block: "Block") -> "Block":
    return {name: parameter for name, parameter in block.items() if name.endswith(".bias")}
