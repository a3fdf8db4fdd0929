"""The Fréchet distance of two diagonal Fishers (Eq. 3): how far apart two languages are for an encoder.

With F̂ of unit trace, d² = ½ tr(F̂_a + F̂_b - 2 (F̂_a F̂_b)^½), which for diagonals is ½ Σ_i (√a_i - √b_i)²: 0 where they
are equal, 1 where they have no parameter in common, whatever their scales.
"""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from fun.errors import ConfigError
from fun.fisher.diagonal import Diagonal, read
from fun.models.blocks import layer_of, pieces


class Distances(NamedTuple):
    """d² of two Fishers, over all parameters and over those of the layers alone (no embeddings)."""

    squared: float
    squared_in_layers: float

    @property
    def distance(self) -> float:
        """d over all parameters."""
        return math.sqrt(self.squared)


def squared_distance(first: Diagonal, second: Diagonal) -> float:
    """d² of two Fishers over the same parameters, in [0, 1]; ValueError where they have others."""
    if first.keys() != second.keys():
        raise ValueError(f"two Fishers of other parameters: {sorted(first.keys() ^ second.keys())[:3]} …")
    scales = [1 / sum(t.sum(dtype=torch.float64).item() for t in fisher.values()) for fisher in (first, second)]
    total = torch.zeros((), dtype=torch.float64)
    for name in first:
        for a, b in zip(pieces(first[name]), pieces(second[name]), strict=True):
            total += (a.double().mul(scales[0]).sqrt_() - b.double().mul(scales[1]).sqrt_()).square_().sum()
    return total.item() / 2


def distances(first: Path, second: Path) -> Distances:
    """Of two Fishers from their files; ConfigError where these say that they do not compare: another encoder, …"""
    (one, about), (other, of_other) = read(first), read(second)
    described = sorted((about.keys() | of_other.keys()) - {"language", "text"})
    if wrong := [key for key in described if about.get(key) != of_other.get(key)]:
        told = "; ".join(f"{key} is {about.get(key)} and {of_other.get(key)}" for key in wrong)
        raise ConfigError(f"{first} and {second} do not compare: {told}: give two that differ in language alone")
    layers = [{name: t for name, t in fisher.items() if layer_of(name) is not None} for fisher in (one, other)]
    return Distances(squared_distance(one, other), squared_distance(*layers))
