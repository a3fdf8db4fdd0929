"""A frozen encoder with a task adapter and a head: the only parameters that ever train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from adapters import AdapterConfig
from adapters.composition import Stack
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fun.models.blocks import Block, task_blocks
from fun.models.encoders import language_adapter_folder, load_encoder
from fun.models.heads import Head


class TaskModel:
    """Encoder, language adapters, one task adapter and its head.

    `module` is the adapters-library model, `blocks` maps each layer to its task adapter's parameters, and
    `head_parameters` are the head's. Everything else is frozen: the encoder with its pooler, and the language
    adapters with their invertible blocks. The initial weights depend on `init_seed` alone.
    """

    def __init__(
        self,
        source: str,
        adapter: AdapterConfig,
        head: Head,
        *,
        name: str,
        language_adapter: bool,
        init_seed: int,
    ) -> None:
        self.source = source
        self.name = name
        self.head = head
        self.language_adapter = language_adapter
        self.module: Any
        self.tokenizer: PreTrainedTokenizerBase
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init_seed)
            self.module, self.tokenizer = load_encoder(source)
            torch.manual_seed(init_seed)  # whatever loading drew
            self.module.add_adapter(name, config=adapter)
            head.add_to(self.module, name)
        self.blocks: dict[int, Block] = task_blocks(self.module, name)
        self.head_parameters: Block = {
            full_name: parameter
            for full_name, parameter in self.module.named_parameters()
            if full_name.startswith(f"heads.{name}.")
        }
        self._freeze_the_rest()

    def parameters(self) -> Block:
        """All parameters that may train, by name: the layers' from bottom to top, then the head's."""
        return {n: p for block in (*self.blocks.values(), self.head_parameters) for n, p in block.items()}

    def activate(self, language: str) -> None:
        """Send inputs through the language adapter of `language`, if the run uses one, and the task adapter."""
        if self.language_adapter:
            self._load_language_adapter(language)
            self.module.set_active_adapters(Stack(language, self.name))
        else:
            self.module.set_active_adapters(self.name)
        self.module.active_head = self.name

    def to(self, device: torch.device) -> None:
        """Move the model; parameters keep their identity."""
        self.module.to(device)

    @property
    def device(self) -> torch.device:
        return next(iter(self.head_parameters.values())).device

    @property
    def pad_id(self) -> int:
        """The token that fills a micro-batch up."""
        pad_id = self.tokenizer.pad_token_id
        assert isinstance(pad_id, int)
        return pad_id

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameters that may train, on the CPU."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.parameters().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back a copy that `state` made. Raises ValueError if it has other parameters."""
        parameters = self.parameters()
        if set(state) != set(parameters):
            raise ValueError(f"the saved state has other parameters: {sorted(set(state) ^ set(parameters))[:3]} …")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state[name])

    def trainable(self) -> int:
        """The number of parameters that train now."""
        return sum(p.numel() for p in self.parameters().values() if p.requires_grad)

    def save(self, folder: Path) -> None:
        """Write task adapter and head as safetensors, for `load_adapter(folder, use_safetensors=True)`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.module.save_adapter(str(folder), self.name, use_safetensors=True, with_head=True)

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote."""
        with torch.random.fork_rng(devices=[]):
            self.module.load_adapter(str(folder), load_as=self.name, use_safetensors=True)

    def _load_language_adapter(self, language: str) -> None:
        if language in self.module.adapters_config:
            return
        folder = str(language_adapter_folder(self.source, language))
        # New modules are initialised before they are filled; no random stream but this one may notice.
        with torch.random.fork_rng(devices=[]):
            self.module.load_adapter(folder, load_as=language, with_head=False, use_safetensors=True)
        self.module.to(self.device)
        self._freeze_the_rest()

    def _freeze_the_rest(self) -> None:
        ours = self.parameters()
        for name, parameter in self.module.named_parameters():
            if name not in ours:
                parameter.requires_grad_(False)
