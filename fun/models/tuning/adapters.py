"""Adapters of the adapters library, on an encoder that stays frozen."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from fun.errors import ConfigError
from fun.models.blocks import Block, task_blocks
from fun.models.tuning.base import TUNINGS, Tuning

if TYPE_CHECKING:
    from adapters import AdapterConfig
    from transformers import PreTrainedTokenizerBase

Nonlinearity = Literal["relu", "gelu", "swish", "tanh"]


@dataclass(frozen=True, kw_only=True)
class AdapterTuning(Tuning):
    """An adapter of the adapters library; all else is frozen, language adapters below it too."""

    @abstractmethod
    def config(self, hidden: int) -> "AdapterConfig":
        """The adapter for an encoder of `hidden` numbers per token, as the library's configuration."""

    def attach(self, module: Any, name: str) -> None:
        module.add_adapter(name, config=self.config(module.config.hidden_size))

    def blocks(self, module: Any, name: str) -> dict[int, Block]:
        return task_blocks(module, name) if self.layered else {}

    def always(self, module: Any, name: str) -> Block:
        """An invertible block or prompts, if the adapter has them."""
        parts = (f".invertible_adapters.{name}.", f".prompt_tunings.{name}.")
        return {n: p for n, p in module.named_parameters() if any(part in n for part in parts)}

    def activate(self, module: Any, name: str, language: str | None) -> None:
        from adapters.composition import Stack

        module.set_active_adapters(Stack(language, name) if language else name)

    def save(self, module: Any, name: str, folder: Path, tokenizer: "PreTrainedTokenizerBase", *, head: bool) -> None:
        """For `load_adapter(folder, use_safetensors=True)`."""
        module.save_adapter(str(folder), name, use_safetensors=True, with_head=head)

    def load(self, module: Any, name: str, folder: Path) -> None:
        module.load_adapter(str(folder), load_as=name, use_safetensors=True)


@TUNINGS.register("madx")
@dataclass(frozen=True, kw_only=True)
class Madx(AdapterTuning):
    """MAD-X (Pfeiffer et al., 2020): a bottleneck after every FFN, without an invertible block (FUN, appendix B)."""

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


@TUNINGS.register("language")
@dataclass(frozen=True, kw_only=True)
class Language(AdapterTuning):
    """MAD-X's language adapter: a bottleneck after every FFN, and a NICE block half as wide as the embeddings."""

    by_language: ClassVar[bool] = True

    reduction: Annotated[int, Field(ge=1)]
    """Hidden size / bottleneck size."""
    nonlinearity: Nonlinearity
    """Of the bottleneck."""

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import SeqBnInvConfig

        bottleneck = {"reduction_factor": self.reduction, "non_linearity": self.nonlinearity}
        return SeqBnInvConfig(**bottleneck, inv_adapter="nice", inv_adapter_reduction_factor=2)


@TUNINGS.register("houlsby")
@dataclass(frozen=True, kw_only=True)
class Houlsby(AdapterTuning):
    """A bottleneck behind attention and one behind the FFN of every layer, no layer norm (Houlsby et al., 2019)."""

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


@TUNINGS.register("lora")
@dataclass(frozen=True, kw_only=True)
class Lora(AdapterTuning):
    """LoRA (Hu et al., 2022) beside query and value, which open together (FUN, appendix G.4); no dropout."""

    r: Annotated[int, Field(ge=1)]
    """Rank."""
    alpha: Annotated[int, Field(ge=1)]
    """The product of rank r is scaled by alpha / r."""
    language_adapter: bool
    """Whether inputs go through the language adapter of their language too."""

    @property
    def uses_language_adapters(self) -> bool:
        return self.language_adapter

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import LoRAConfig

        return LoRAConfig(r=self.r, alpha=self.alpha, dropout=0.0, attn_matrices=["q", "v"])


@TUNINGS.register("prompts")
@dataclass(frozen=True, kw_only=True)
class Prompts(AdapterTuning):
    """Soft prompts (Lester et al., 2021) behind [CLS], which the pooler and heads over classes go on reading.

    They have no position, type or layer norm, and the words keep theirs. What the encoder makes of the prompts is
    dropped before any head sees it, so that a head over tokens sees those that went in.
    """

    layered: ClassVar[bool] = False

    length: Annotated[int, Field(ge=1)]
    """Prompts."""

    def config(self, hidden: int) -> "AdapterConfig":
        from adapters import PromptTuningConfig

        return PromptTuningConfig(prompt_length=self.length, combine="prefix_after_bos")

    def attach(self, module: Any, name: str) -> None:
        """Raises ConfigError for DeBERTa, whose relative positions leave no place for prompts."""
        if module.config.model_type not in ("bert", "xlm-roberta"):
            raise ConfigError(f"adapter=prompts has no form for {module.config.model_type}: type model=mbert or xlmr")
        super().attach(module, name)
        encoder = module.base_model
        # Told of prompts, the library's SDPA attention lets [CLS] attend to padding: the mask is widened here instead.
        encoder.prompt_tuning.prompt_tunings[name].register_forward_hook(lambda _, inputs, outputs: (outputs[0], None))
        encoder.encoder.register_forward_pre_hook(_attend_to_prompts, with_kwargs=True)
        encoder.encoder.register_forward_hook(self._drop_prompts)

    def _drop_prompts(self, encoder: Any, inputs: Any, outputs: Any) -> Any:
        import torch

        states = outputs.last_hidden_state  # [B, 1 + length + T - 1, H]
        outputs["last_hidden_state"] = torch.cat((states[:, :1], states[:, 1 + self.length :]), dim=1)
        return outputs


def _attend_to_prompts(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Widen the attention mask [B, 1, T, T], the same for every query, to the prompts: they count as [CLS] does."""
    import torch

    positions, mask = args[0].shape[1], kwargs["attention_mask"]
    if mask is not None:  # else there is no padding
        prompts = mask[:, :, :1, :1].expand(-1, -1, -1, positions - mask.shape[3])
        mask = torch.cat((prompts, mask[:, :, :1]), dim=3).expand(-1, -1, positions, -1)
    return args, kwargs | {"attention_mask": mask}
