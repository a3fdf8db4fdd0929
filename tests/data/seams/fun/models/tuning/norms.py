"""A toy tuning without layers: the layer norm of the embeddings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fun.models.tuning.base import TUNINGS, Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fun.models.blocks import Block

FILE = "norms.safetensors"


@TUNINGS.register("norms")
@dataclass(frozen=True, kw_only=True)
class Norms(Tuning):
    """Scale and shift of the embeddings, and the head."""

    layered: ClassVar[bool] = False

    def attach(self, module: Any, name: str) -> None:
        """Nothing is added."""

    def blocks(self, module: Any, name: str) -> "dict[int, Block]":
        return {}

    def always(self, module: Any, name: str) -> "Block":
        return {n: parameter for n, parameter in module.named_parameters() if "embeddings.LayerNorm" in n}

    def activate(self, module: Any, name: str, language: str | None) -> None:
        module.set_active_adapters(None)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        from safetensors.torch import save_file

        trained = {n: p for n, p in module.named_parameters() if n in self.always(module, name) or "heads." in n}
        save_file({n: p.detach().contiguous() for n, p in trained.items()}, folder / FILE)

    def load(self, module: Any, name: str, folder: Path) -> None:
        from safetensors.torch import load_file

        module.load_state_dict(load_file(folder / FILE), strict=False)
