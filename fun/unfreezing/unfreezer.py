"""Applies a schedule to a model: sets which layers' parameters train in the update about to be made."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fun.unfreezing.schedules.base import Moment, Schedule, Stage

if TYPE_CHECKING:
    from torch import nn

Blocks = Mapping[int, Mapping[str, "nn.Parameter"]]
"""Layer (0 … L-1, bottom to top) -> the named parameters that open with it."""

Scorer = Callable[[int], Mapping[int, float]]
"""Update -> tr(F) of every layer just before that update."""


@dataclass(eq=False)
class Unfreezer:
    """Opens and closes the layers of `blocks` as `schedule` says; `history` holds the stages so far.

    All parameters belong in the optimizer from the start. A closed layer gets no gradient, so torch's optimizers skip
    it, and its Adam state begins with the update in which it opens.
    """

    schedule: Schedule
    blocks: Blocks
    seed: int = 0
    scorer: Scorer | None = None
    history: list[Stage] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if sorted(self.blocks) != list(range(len(self.blocks))):
            raise ValueError(f"blocks has layers {sorted(self.blocks)}; expected 0 … L-1 without gaps")

    @property
    def open(self) -> frozenset[int]:
        """The layers that train now; none before the first update."""
        return self.history[-1].open if self.history else frozenset()

    def before_update(self, update: int, epoch: int) -> Stage | None:
        """Set the flags for `update` (1-based; `epoch` 0-based); return the stage that begins here, if one does."""
        moment = Moment(update, epoch, len(self.blocks), self.seed, tuple(self.history))
        if self.schedule.needs_scores(moment):
            if self.scorer is None:
                raise ValueError(f"{type(self.schedule).__name__} chooses by tr(F): pass scorer=…")
            moment = replace(moment, scores=self.scorer(update))
        layers = self.schedule.open_layers(moment)
        if self.history and layers == self.open:
            return None
        self.restore([*self.history, Stage(update, layers, moment.scores)])
        return self.history[-1]

    def restore(self, history: Iterable[Stage]) -> None:
        """Take up in the last stage of `history`, as it was then; in none, nothing changes."""
        self.history = list(history)
        if not self.history:
            return
        for layer, parameters in self.blocks.items():
            for parameter in parameters.values():
                parameter.requires_grad_(layer in self.open)
                if layer not in self.open:
                    # A gradient left from before the closing would still move the layer.
                    parameter.grad = None
