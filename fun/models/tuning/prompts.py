"""Soft prompts (Lester et al., 2021): vectors among the embeddings train, and nothing of the encoder."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from fun.errors import ConfigError
from fun.models.tuning.adapters import AdapterTuning
from fun.models.tuning.base import TUNINGS

if TYPE_CHECKING:
    from adapters import AdapterConfig


@TUNINGS.register("prompts")
@dataclass(frozen=True, kw_only=True)
class Prompts(AdapterTuning):
    """Prompts behind [CLS], which the pooler and heads over classes go on reading at position 0.

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
