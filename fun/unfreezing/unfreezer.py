"""Applies a schedule to a model: sets which layers' parameters train in the update about to be made."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from fun.unfreezing.schedules import Moment, Opening, Schedule

Blocks = Mapping[int, Mapping[str, nn.Parameter]]
"""Layer (0 … L-1, bottom to top) -> the named parameters that open with it."""

Scorer = Callable[[int], Mapping[int, float]]
"""Update -> tr(F) of every layer just before that update."""


class Unfreezer:
    """Opens the layers of `blocks` as `schedule` says; `history` is what has opened so far.

    All parameters belong in the optimizer from the start. A closed layer gets no gradient, so torch's
    optimizers skip it and its Adam state begins with the update in which it opens.
    """

    def __init__(self, schedule: Schedule, blocks: Blocks, seed: int = 0, scorer: Scorer | None = None) -> None:
        if sorted(blocks) != list(range(len(blocks))) or not blocks:
            raise ValueError(f"blocks has layers {sorted(blocks)}; expected 0 … L-1 without gaps")
        self.schedule = schedule
        self.blocks = blocks
        self.seed = seed
        self.scorer = scorer
        self.history: list[Opening] = []
        self.open: frozenset[int] = frozenset()

    def before_update(self, update: int, epoch: int) -> Opening | None:
        """Set the flags for `update` (1-based); return what newly opens, if anything does."""
        moment = Moment(update, epoch, len(self.blocks), self.seed, tuple(self.history))
        scores = None
        if self.schedule.needs_scores(moment):
            if self.scorer is None:
                raise ValueError(f"{type(self.schedule).__name__} chooses by tr(F): pass scorer=…")
            scores = self.scorer(update)
            moment = Moment(update, epoch, len(self.blocks), self.seed, tuple(self.history), scores)
        layers = self.schedule.open_layers(moment)
        opening = None
        if new := layers - moment.opened:
            opening = Opening(update, tuple(sorted(new, reverse=True)), scores)
            self.history.append(opening)
        if opening or layers != self.open or update == 1:
            self._set_open(layers)
        return opening

    def restore(self, history: Sequence[Opening], update: int, epoch: int) -> None:
        """Take up after `update` updates (0-based `epoch` of the last one), with the history as it was then."""
        self.history = list(history)
        if update:
            layers = len(self.blocks)
            self._set_open(self.schedule.open_layers(Moment(update, epoch, layers, self.seed, tuple(history))))

    def _set_open(self, layers: frozenset[int]) -> None:
        self.open = layers
        for layer, parameters in self.blocks.items():
            for parameter in parameters.values():
                parameter.requires_grad_(layer in layers)
                if layer not in layers:
                    # A gradient left from before the closing would still move the layer.
                    parameter.grad = None
