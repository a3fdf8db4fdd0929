"""Heads and their predictive distribution p(y|x).

Every head is a prediction head of the adapters library, named like the task adapter, so that `save_adapter` writes it
beside the adapter and a plain `load_adapter` brings it back. What is ours is the distribution.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from adapters.heads import BertStyleMaskedLMHead, QuestionAnsweringHead
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from fun.errors import RunError

Unit = Literal["examples", "labels"]
Axis = Literal["classes", "tokens", "labels"]


@dataclass(frozen=True)
class Predictive:
    """p(y|x) of B examples as independent categorical factors, up to F for each: `log_p` over C classes, [B, F, C].

    Classification and multiple choice have one factor, over classes or choices; question answering has two, the start
    and the end of the span, over tokens; tagging and masked language modelling have one per labelled token. Where not
    all examples have as many, `present`, bool [B, F], says which are there; the others are padding.
    """

    log_p: Tensor
    present: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """The number of factors of each example: [B]."""
        return self._present().sum(dim=1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Labels drawn from p(y|x): int64 [B, F], 0 where a factor is absent.

        By inversion: one uniform number per factor, drawn on the CPU, example by example in the order of the factors.
        The labels therefore depend neither on the device, nor on padding, nor on where a batch is cut into parts.
        """
        present = self._present()
        rows = self.log_p[present]
        uniform = torch.rand(len(rows), 1, dtype=torch.float64, generator=generator)
        labels = torch.zeros_like(present, dtype=torch.int64)
        labels[present] = _invert(rows, uniform).squeeze(1).to(labels.device)
        return labels

    def mode(self) -> Tensor:
        """The most probable label of every factor: int64 [B, F]."""
        return self.log_p.argmax(dim=2)

    def nll(self, labels: Tensor) -> Tensor:
        """-log p(labels|x) for labels [B, F], summed over an example's factors: [B], one number per example."""
        chosen = self.log_p.gather(2, labels.unsqueeze(2)).squeeze(2)
        if self.present is not None:
            chosen = chosen.masked_fill(~self.present, 0)
        return -chosen.sum(dim=1)

    def entries(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every class as (labels [B, 1], its probability [B], detached); RunError for several factors: too many."""
        size, factors, classes = self.log_p.shape
        if factors != 1:
            raise RunError(
                f"Expected labels need a head with one distribution over few classes; this head has {factors} (such as "
                "the start and the end of a span). Type fisher.labels=sampled."
            )
        probability = self.log_p[:, 0].detach().exp()
        labels = (torch.full((size, 1), label, device=self.log_p.device) for label in range(classes))
        return zip(labels, probability.unbind(dim=1), strict=True)

    def _present(self) -> Tensor:
        return torch.ones_like(self.log_p[:, :, 0], dtype=torch.bool) if self.present is None else self.present


def _invert(log_probability: Tensor, uniform: Tensor) -> Tensor:
    """Labels [B, 1] where the distribution function of [B, C] log-probabilities passes `uniform` [B, 1]."""
    cumulative = log_probability.detach().cpu().double().exp().cumsum(dim=1)
    # Scaled by the last value, which rounding leaves near 1: no label of probability 0 is ever drawn.
    labels = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    # NaN probabilities would give the label C; a label in range lets the NaN reach the caller's check.
    return labels.clamp(max=log_probability.shape[1] - 1)


def labelled(values: Tensor, marked: Tensor) -> tuple[Tensor, Tensor]:
    """Of values [B, T, …] those of the tokens that `marked` [B, T] marks, from left to right: [B, W, …], W the most
    that an example has; and which of them each has: bool [B, W]."""
    marked = marked.bool()
    counts = marked.sum(dim=1)
    present = torch.arange(int(counts.max()), device=counts.device) < counts.unsqueeze(1)
    gathered = values.new_zeros(*present.shape, *values.shape[2:])
    gathered[present] = values[marked]
    return gathered, present


def _log_softmax(logits: Tensor) -> Tensor:
    # Under bf16 autocast the logits are bf16: too coarse for a softmax over hundreds of tokens.
    return logits.log_softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))


@dataclass(frozen=True)
class Head(ABC):
    """What a task asks of its prediction head. Heads never see labels: the model is called without them."""

    over: ClassVar[Axis]
    """What the second axis of its logits counts: classes or choices, the example's tokens, or its labels."""
    unit: ClassVar[Unit] = "examples"
    """Over what the training loss is a mean (design contract 12)."""
    saved: ClassVar[bool] = True
    """Whether it is saved beside the adapter."""

    @abstractmethod
    def add_to(self, model: Any, name: str) -> None:
        """Adds the library's prediction head under `name`, the task adapter's name, and activates it."""

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What metrics read: raw scores, [B, C] for each factor, or [B, W, C] for each label. Unlike probabilities they
        compare between windows of one text."""
        return (outputs.logits,)

    @abstractmethod
    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """p(y|x) from the model's outputs for `batch`."""


@dataclass(frozen=True)
class QAHead(Head):
    """Start and end of an answer span over the tokens of a window: one linear layer, two factors.

    `mask_padding` takes both softmaxes over the window's own tokens, question included, whatever the padded length;
    the libraries' heads and the authors' code leave padding in. Nothing is dropped before the layer, and the training
    loss is the mean of start and end, as there; the log-probability of a window stays their sum.
    """

    over: ClassVar[Axis] = "tokens"
    unit: ClassVar[Unit] = "labels"

    mask_padding: bool

    def add_to(self, model: Any, name: str) -> None:
        model.add_prediction_head(QuestionAnsweringHead(model, name, dropout_prob=0.0))

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Start and end, [B, T] each."""
        return outputs.start_logits, outputs.end_logits

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """Reads attention_mask [B, T] of `batch`."""
        logits = torch.stack(self.logits(outputs, batch), dim=1)
        if self.mask_padding:
            logits = logits.masked_fill(batch["attention_mask"].unsqueeze(1) == 0, -torch.inf)
        return Predictive(_log_softmax(logits))


@dataclass(frozen=True)
class ClassesHead(Head):
    """One softmax over a few classes: `layers` linear layers, tanh between, on the pooler's output or the first token's
    last state."""

    over: ClassVar[Axis] = "classes"

    layers: int
    use_pooler: bool

    @property
    def shape(self) -> dict[str, Any]:
        """What the library's constructors are told."""
        return {"layers": self.layers, "activation_function": "tanh", "use_pooler": self.use_pooler}

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        return Predictive(_log_softmax(outputs.logits).unsqueeze(1))


@dataclass(frozen=True)
class ClassificationHead(ClassesHead):
    """`num_labels` classes of a text."""

    num_labels: int

    def add_to(self, model: Any, name: str) -> None:
        model.add_classification_head(name, num_labels=self.num_labels, **self.shape)


@dataclass(frozen=True)
class MultipleChoiceHead(ClassesHead):
    """Two choices, each with a score; the model flattens their tokens [B, 2, T] to [2B, T], pairs side by side."""

    def add_to(self, model: Any, name: str) -> None:
        model.add_multiple_choice_head(name, num_choices=2, **self.shape)


@dataclass(frozen=True)
class TaggingHead(Head):
    """A tag for each word: one linear layer over the token that `words` [B, T] marks, its first piece."""

    over: ClassVar[Axis] = "labels"
    unit: ClassVar[Unit] = "labels"

    num_labels: int

    def add_to(self, model: Any, name: str) -> None:
        model.add_tagging_head(name, num_labels=self.num_labels)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """[B, W, C]."""
        return (labelled(outputs.logits, batch["words"])[0],)

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """One softmax over the tags per word."""
        logits, present = labelled(outputs.logits, batch["words"])
        return Predictive(_log_softmax(logits), present)


class _MaskedLMHead(BertStyleMaskedLMHead):
    """The library's head, read at the masked tokens alone: at all of them it would cost more than the encoder."""

    def forward(self, outputs: Any, *positional: Any, masked: Tensor, **named: Any) -> Any:
        """Logits [B, F, V] of the tokens that `masked` [B, T] marks, F in each row, from left to right."""
        hidden = outputs[0][masked.bool()].unflatten(0, (len(masked), -1))
        return super().forward(BaseModelOutput(hidden), *positional, **named)


@dataclass(frozen=True)
class MaskedLMHead(Head):
    """Names the tokens that were masked: dense layer, GELU, layer norm, and the transposed word embeddings.

    The head that was published with the encoder stays frozen, like the encoder: only the adapter can bring the language
    nearer to what both know. mDeBERTa has none of its own (its file holds the generator's): there a new one trains with
    the adapter, on frozen word embeddings. In front of these stands the inverse of the adapter's invertible block
    (MAD-X; Pfeiffer et al., 2020). Nobody reads the head after training, so it is not saved.
    """

    over: ClassVar[Axis] = "labels"
    unit: ClassVar[Unit] = "labels"
    saved: ClassVar[bool] = False

    def add_to(self, model: Any, name: str) -> None:
        head = _MaskedLMHead(model, name)
        if "default" in model.heads and isinstance(model.heads["default"], BertStyleMaskedLMHead):
            head.load_state_dict(model.heads["default"].state_dict())
            head.requires_grad_(False)
        model.add_prediction_head(head)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """log p of the right and of the likeliest token, [B, F] each: whole vocabularies would not fit in memory."""
        log_probability = _log_softmax(outputs.logits)
        right = log_probability.gather(2, batch["labels"].unsqueeze(2)).squeeze(2)
        return right, log_probability.amax(dim=2)

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """One softmax over the vocabulary per masked token."""
        return Predictive(_log_softmax(outputs.logits))


def predict(model: nn.Module, head: Head, batch: Mapping[str, Tensor]) -> Predictive:
    """p(y|x) of a tokenised batch, by one forward pass through the model's active adapters and head."""
    return head.predictive(forward(model, batch), batch)


def forward(model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """The model's outputs for a tokenised batch. Never with labels: transformers clamps those of a span in place."""
    read = ("input_ids", "attention_mask", "token_type_ids", "masked")
    return model(**{name: batch[name] for name in read if name in batch})
