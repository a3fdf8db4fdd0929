"""Elastic weight consolidation (Eq. 2): weights are held by what the pretrained encoder knows of other languages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fun.errors import ConfigError
from fun.methods.anchor import Anchored, Anchoring
from fun.methods.base import REGULARIZERS

if TYPE_CHECKING:
    from fun.config import RunConfig
    from fun.models.task_model import TaskModel


@REGULARIZERS.register("ewc")
@dataclass(frozen=True, kw_only=True)
class Ewc(Anchoring):
    """λ/2 Σ_i F_i (θ_i - θ*_i)², with F the diagonal Fisher of the languages' text under masked language modelling."""

    holds: ClassVar[tuple[str, ...]] = ("θ*", "F")

    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    """Whose Fishers are taken."""
    combine: Literal["sum", "mean"]
    """Of several Fishers; their mean at strength λ is their sum at λ by their number."""
    normalise: Literal["mean", "none"]
    """mean: each Fisher has mean 1 over the weights that are held, so that λ has the meaning of L2's; none: Eq. 2."""
    origins: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    """Language -> run:<run_id> of another task=fisher run than the default one."""

    @property
    def fishers(self) -> Mapping[str, str]:
        """See MethodChoice."""
        return {language: self.origins.get(language, "train") for language in self.languages}

    def check(self, config: "RunConfig") -> None:
        """See Choice."""
        super().check(config)
        for language, origin in self.origins.items():
            if language not in self.languages or not re.fullmatch(r"train|run:[0-9a-f]{16}", origin):
                raise ConfigError(
                    f"regularizer.origins.{language} is {origin!r}; expected train or run:<16 hexadecimal digits> for "
                    f"one of {', '.join(self.languages)}: type +regularizer.origins.{self.languages[0]}=run:…"
                )

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Anchored:
        """See MethodChoice."""
        from fun.fisher.diagonal import combined, normalised, read

        held = model.anchored()
        read_fishers = []
        for language in self.languages:
            fisher, _ = read(fishers[language])
            fisher = {name: fisher[name] for name in held}
            read_fishers.append(normalised(fisher) if self.normalise == "mean" else fisher)
        total = combined(read_fishers, len(read_fishers) if self.combine == "mean" else 1)
        return Anchored(held, self.strength, {name: total[name].to(held[name].device) for name in held})
