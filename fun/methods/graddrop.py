"""GradDrop: chance decides what of the layers' gradient takes part in an update (O'Neill and Dutta, 2023).

"Gradient Sparsification For Masked Fine-Tuning of Transformers", section III. What is masked has a gradient of zero,
not none (Eq. 3): Adam's moments decay, and what has moments moves on. Embeddings, pooler and head are never masked.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from fun.errors import ConfigError
from fun.methods.base import MASKS, Method, MethodChoice
from fun.models.blocks import is_projection, layer_of, pieces
from fun.unfreezing.unfreezer import Blocks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fun.config import RunConfig
    from fun.models.task_model import TaskModel


class Kept(NamedTuple):
    """What an update keeps, times `factor`: that whose number u, uniform in [0, 1), has `least` <= u < `below`. Updates
    of one `position` have the same numbers."""

    position: int
    least: float
    below: float
    factor: float


Rule = Callable[[int, int], Kept]
"""(Update, epoch) -> what the update keeps."""


class Masking(Method, ABC):
    """Masks the gradient of `blocks` as `rule` says. Nothing is stored: (seed, purpose, position) gives the numbers."""

    def __init__(self, blocks: Blocks, seed: int, rule: Rule) -> None:
        self.layers, self.seed, self.rule = len(blocks), seed, rule
        self.parameters = [(layer, name, p) for layer, block in blocks.items() for name, p in block.items()]

    @abstractmethod
    def kept(self, layer: int, name: str, parameter: "nn.Parameter") -> "Iterable[Tensor]":
        """What the present update keeps of each piece of a parameter: 0 and 1, of the piece's shape or one for all.
        Read each before the next one, which may take its place."""

    def before_update(self, update: int, epoch: int) -> None:
        self.now = self.rule(update, epoch)

    def mask_gradient(self, update: int, epoch: int) -> None:
        for layer, name, parameter in self.parameters:
            if parameter.grad is not None:  # else a schedule has closed it
                for gradient, kept in zip(pieces(parameter.grad), self.kept(layer, name, parameter), strict=True):
                    gradient.mul_(kept)
                    if self.now.factor != 1:
                        gradient.mul_(self.now.factor)

    def logged(self) -> dict[str, float]:
        """The share of what is open that the latest update kept."""
        kept, elements = 0.0, 0
        for layer, name, parameter in self.parameters:
            if parameter.requires_grad:
                elements += parameter.numel()
                for piece, share in zip(pieces(parameter), self.kept(layer, name, parameter), strict=True):
                    kept += piece.numel() * share.double().mean().item()
        return {"kept": kept / elements if elements else 0.0}


class ElementMask(Masking):
    """A number for each element, drawn on the parameter's device: another GPU model may draw others, as of dropout."""

    def kept(self, layer: int, name: str, parameter: "nn.Parameter") -> "Iterable[Tensor]":
        """A stream for each parameter: what a schedule has closed does not shift the others' numbers."""
        import torch

        from fun.randomness import derive

        random = torch.Generator(parameter.device)
        random.manual_seed(derive(self.seed, f"gradient mask of {name}", self.now.position))
        least, below = self.now.least, self.now.below
        numbers, upper = torch.empty((2, len(pieces(parameter)[0])), dtype=torch.float32, device=parameter.device)
        for piece in pieces(parameter):
            # All in place, as 0.0 and 1.0: new memory, and multiplying by booleans, would cost as much as the numbers.
            kept, inside = numbers[: len(piece)].uniform_(generator=random), upper[: len(piece)]
            if below < 1:
                torch.lt(kept, below, out=inside)
            kept.ge_(least)
            yield kept.mul_(inside) if below < 1 else kept


class LayerMask(Masking):
    """A number for each layer, all drawn at once on the CPU."""

    def before_update(self, update: int, epoch: int) -> None:
        import torch

        from fun.randomness import generator

        super().before_update(update, epoch)
        numbers = torch.rand(self.layers, generator=generator(self.seed, "gradient mask", self.now.position))
        self.open = (numbers >= self.now.least) & (numbers < self.now.below)

    def kept(self, layer: int, name: str, parameter: "nn.Parameter") -> "Iterable[Tensor]":
        return repeat(self.open[layer], len(pieces(parameter)))


@dataclass(frozen=True, kw_only=True)
class GradientMask(MethodChoice, ABC):
    """What masks the gradient of the layers' parameters."""

    parameters: Literal["layers", "kvu"] = "layers"
    """layers: all of a layer (section IV); kvu: its key, value and attention output projections (section III.A)."""

    @property
    def masking(self) -> type[Masking]:
        """How numbers are drawn."""
        return ElementMask

    @abstractmethod
    def rule(self, epochs: int) -> Rule:
        """What each update of a training of so many epochs keeps."""

    def check(self, config: "RunConfig") -> None:
        if not config.layers:
            raise ConfigError(
                f"a mask is for what trains in layers, and task={config.task.name} with adapter={config.adapter.name} "
                "trains nothing there: type mask=none"
            )
        if self.parameters == "kvu" and not config.adapter.pretrained:
            raise ConfigError(
                f"mask.parameters=kvu are projections of the encoder, which adapter={config.adapter.name} does not "
                "fine-tune: type mask.parameters=layers, or adapter=full"
            )

    def build(self, model: "TaskModel", seed: int, fishers: Mapping[str, Path], epochs: int) -> Masking:
        whole = self.parameters == "layers"
        blocks = {  # without embeddings that open with layer 0
            layer: {n: p for n, p in block.items() if layer_of(n) == layer and (whole or is_projection(n))}
            for layer, block in model.blocks.items()
        }
        return self.masking(blocks, seed, self.rule(epochs))


@MASKS.register("graddrop")
@dataclass(frozen=True, kw_only=True)
class GradDrop(GradientMask):
    """Elements or whole layers are dropped with probability p (Eq. 4), anew in every update."""

    over: Literal["elements", "layers"]
    """What has a number of its own; a layer's is one for all of its parameters."""
    per: Literal["update", "epoch"] = "update"
    """What has numbers of its own; each epoch: the variant with reset."""
    p: Annotated[float, Field(ge=0, lt=1)]
    """The probability to be dropped, in the first epoch where it is annealed."""
    anneal: Literal["recurrence", "endpoints"] | None = None
    """How p falls in epoch e = 0 … T-1: to max(0, p - e/T), as printed; or to p · (1 - e/(T-1)), 0 in the last epoch
    whatever T; null: it stays."""
    rescale: bool
    """Whether what is kept is multiplied by 1/(1-p)."""

    @property
    def label(self) -> str:
        return f"{'anneal_' if self.anneal else ''}{'layer_' if self.over == 'layers' else ''}graddrop-p{self.p:g}"

    @property
    def masking(self) -> type[Masking]:
        return LayerMask if self.over == "layers" else ElementMask

    def check_epochs(self, epochs: int) -> None:
        if self.anneal and epochs == 1:
            raise ConfigError(
                "mask.p is annealed from epoch to epoch, and training has one: type train.epochs=2 or more, or "
                "mask.anneal=null"
            )

    def dropped(self, epoch: int, epochs: int) -> float:
        """p in an epoch of so many."""
        if self.anneal == "recurrence":
            return max(0.0, self.p - epoch / epochs)
        return self.p * (1 - epoch / (epochs - 1)) if self.anneal else self.p

    def rule(self, epochs: int) -> Rule:
        def kept(update: int, epoch: int) -> Kept:
            p = self.dropped(epoch, epochs)
            return Kept(update if self.per == "update" else epoch, p, 1.0, 1 / (1 - p) if self.rescale else 1.0)

        return kept


@MASKS.register("graddrop_epoch")
@dataclass(frozen=True, kw_only=True)
class GradDropEpoch(GradientMask):
    """Elements open for good, an equal share in each of T epochs: those with a number below (e+1)/T (section III.B).

    Adam counts the updates of a tensor: an element that opens late takes steps of up to 6.57 learning rates at first.
    """

    toggle: bool
    """Whether an element closes again once its epoch is over (Figure 1)."""

    @property
    def label(self) -> str:
        return f"{self.name}{'_toggle' if self.toggle else ''}"

    def rule(self, epochs: int) -> Rule:
        def kept(update: int, epoch: int) -> Kept:
            return Kept(0, epoch / epochs if self.toggle else 0.0, (epoch + 1) / epochs, 1.0)

        return kept
