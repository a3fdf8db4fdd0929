"""Estimators of tr(F) per block, summed over all of its parameters: what `fisher=` may name.

F is the model's Fisher information, not the "empirical" one: labels come from p(y|x), never from the data. Eq. 1 and
Algorithm 2 are those of the FUN paper (Liu, Pfeiffer, Vulić and Gurevych, NAACL 2024).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fun.errors import ConfigError
from fun.models.tuning.adapters import AdapterTuning
from fun.registry import Choice, Registry
from fun.unfreezing.unfreezer import Blocks

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from fun.config import RunConfig
    from fun.fisher.gradients import Batch
    from fun.models.heads import Head, Predictive

FISHERS = Registry("fisher")


@dataclass(frozen=True)
class Estimator(Choice, ABC):
    """Scores blocks by tr(F)."""

    batches: Annotated[int, Field(ge=1)] = 40
    """How many batches of the training batch size one scoring reads at most."""

    @abstractmethod
    def score(
        self, model: "nn.Module", head: "Head", blocks: Blocks, batches: "Iterable[Batch]", generator: "Generator"
    ) -> dict[int, float]:
        """tr(F) of each of `blocks`, open or closed, on the first `self.batches` of `batches`, or all that there are.

        `generator`, on the CPU, draws the labels. The model runs in eval mode and is left as it was found
        (`undisturbed`). Raises RunError if there is no batch, or if a value is not finite.
        """


@FISHERS.register("algorithm2")
@dataclass(frozen=True)
class Algorithm2(Estimator):
    """Algorithm 2: squared gradient of the batch-mean NLL / batch size, labels sampled; mean over batches.

    Under sampled labels the gradients of B examples are independent with mean zero: the squared norm of their mean has
    expectation tr(F)/B, and the value tr(F)/B²: it ranks like `Exact`, but values at different B do not compare.
    """

    def nll(self, predictive: "Predictive", generator: "Generator") -> "Tensor":
        """[B]."""
        return predictive.nll(predictive.sample(generator))

    def score(
        self, model: "nn.Module", head: "Head", blocks: Blocks, batches: "Iterable[Batch]", generator: "Generator"
    ) -> dict[int, float]:
        from fun.fisher.gradients import squared_mean_gradients

        nll = partial(self.nll, generator=generator)
        return squared_mean_gradients(model, head, blocks, islice(batches, self.batches), nll)


@FISHERS.register("official")
@dataclass(frozen=True)
class Official(Algorithm2):
    """The authors' code: as `Algorithm2`, with the most probable label, on 41 batches.

    A different quantity in kind: these gradients do not have mean zero. Start and end of a question answering window
    count like two examples: the mean is over 2B rows, while the divisor stays B.
    """

    batches: Annotated[int, Field(ge=1)] = 41

    def nll(self, predictive: "Predictive", generator: "Generator") -> "Tensor":
        return predictive.nll(predictive.mode()) / predictive.counts


@FISHERS.register("exact")
@dataclass(frozen=True)
class Exact(Estimator):
    """Eq. 1: mean over examples of ‖∇ log p(ŷ|x)‖², the gradient taken example by example.

    The log-probability of an example is one number before it is squared: start + end of a window, one softmax over both
    choices of a COPA item, the sum over the words of a tagged sentence.
    """

    labels: Literal["sampled", "expected"] = "sampled"
    """sampled: one ŷ per example; expected: all classes with their probabilities, for heads with one distribution."""

    def check(self, config: "RunConfig") -> None:
        """See Choice. Modules that `recorded` does not know are found there too, but in the middle of training."""
        if self.labels == "expected" and config.task.windows:
            raise ConfigError(
                "fisher.labels=expected sums over all classes, and a QA span has too many: type fisher.labels=sampled"
            )
        if not isinstance(config.adapter, AdapterTuning):
            raise ConfigError(
                f"fisher=exact reads the projections of adapters, and adapter={config.adapter.name} trains the "
                "encoder itself: type fisher=algorithm2"
            )
        if config.adapter.name == "lora" and config.model.name == "mdeberta":
            raise ConfigError(
                "fisher=exact needs modules that a forward pass calls once, and mDeBERTa calls its query and key, and "
                "so LoRA there, again for its relative positions: type fisher=algorithm2"
            )

    def score(
        self, model: "nn.Module", head: "Head", blocks: Blocks, batches: "Iterable[Batch]", generator: "Generator"
    ) -> dict[int, float]:
        from fun.fisher.gradients import mean_squared_norms

        def weighted(predictive: "Predictive") -> Iterable[tuple["Tensor", "Tensor | float"]]:
            return predictive.entries() if self.labels == "expected" else [(predictive.sample(generator), 1.0)]

        return mean_squared_norms(model, head, blocks, islice(batches, self.batches), weighted)
