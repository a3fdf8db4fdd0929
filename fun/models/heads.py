"""Heads and their predictive distribution p(y|x).

Every head is a prediction head of the adapters library, named like the task adapter, so that `save_adapter`
writes it beside the adapter and a plain `load_adapter` brings it back. What is ours is the distribution:
labels are drawn from it, and one example has one negative log-likelihood, whatever the task.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from adapters.heads import BertStyleMaskedLMHead
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from fun.errors import RunError

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "masked")


@dataclass(frozen=True)
class Predictive:
    """p(y|x) of B examples as independent categorical factors.

    `factors[f]` holds log-probabilities, [B, C_f]. Classification and multiple choice have one factor, over
    classes or choices; question answering has two, the start and the end of the span, over tokens.
    """

    factors: tuple[Tensor, ...]

    def sample(self, generator: torch.Generator) -> Tensor:
        """Labels drawn from p(y|x): int64 [B, F]. `generator` lives on the CPU.

        By inversion: one uniform number per example and factor, drawn on the CPU. The labels therefore do
        not depend on the device, nor on how far a batch is padded or where it is cut into parts.
        """
        size = self.factors[0].shape[0]
        uniform = torch.rand(size, len(self.factors), dtype=torch.float64, generator=generator)
        drawn = [_invert(factor, uniform[:, [f]]) for f, factor in enumerate(self.factors)]
        return torch.cat(drawn, dim=1).to(self.factors[0].device)

    def mode(self) -> Tensor:
        """The most probable label of every factor: int64 [B, F]."""
        return torch.stack([factor.argmax(dim=1) for factor in self.factors], dim=1)

    def nll(self, labels: Tensor) -> Tensor:
        """-log p(labels|x) for labels [B, F], summed over the factors: [B], one number per example."""
        chosen = [factor.gather(1, labels[:, [f]]) for f, factor in enumerate(self.factors)]
        return -torch.cat(chosen, dim=1).sum(dim=1)

    def entries(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every class as (labels [B, 1], its probability [B], detached).

        Raises RunError for several factors: their joint labels are too many to list.
        """
        if len(self.factors) != 1:
            raise RunError(
                f"Expected labels need a head with one distribution over few classes; this head has "
                f"{len(self.factors)} (the start and the end of a span). Type fisher.labels=sampled."
            )
        (factor,) = self.factors
        probability = factor.detach().exp()
        size, classes = factor.shape
        return ((torch.full((size, 1), label, device=factor.device), probability[:, label]) for label in range(classes))


def _invert(log_probability: Tensor, uniform: Tensor) -> Tensor:
    """Labels [B, 1] where the distribution function of [B, C] log-probabilities passes `uniform` [B, 1]."""
    cumulative = log_probability.detach().cpu().double().exp().cumsum(dim=1)
    # Scaled by the last value, which rounding leaves near 1: no label of probability 0 is ever drawn.
    labels = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    # NaN probabilities would give the label C; a label in range lets the NaN reach the caller's check.
    return labels.clamp(max=log_probability.shape[1] - 1)


def _log_softmax(logits: Tensor) -> Tensor:
    # Under bf16 autocast the logits are bf16: too coarse for a softmax over hundreds of tokens.
    return logits.log_softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))


class Head(Protocol):
    """What a task asks of its prediction head. Heads never see labels: the model is called without them."""

    @property
    def name(self) -> str: ...

    @property
    def over_tokens(self) -> bool:
        """Whether the factors are over a window's tokens, rather than over classes or choices."""

    @property
    def saved(self) -> bool:
        """Whether it is saved beside the adapter."""

    def add_to(self, model: Any, name: str) -> None:
        """Adds the library's prediction head under `name`, the task adapter's name, and activates it."""

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What the task's metrics read, by example: the raw scores of each factor, [B, C_f].

        Unlike probabilities they compare between windows of one text.
        """

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """p(y|x) from the model's outputs for `batch`."""

    def labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Gold labels [B, F] of `batch`."""


@dataclass(frozen=True)
class QAHead:
    """Start and end of an answer span over the tokens of a window: one linear layer, two factors.

    `mask_padding=True` takes both softmaxes over the window's own tokens, question included, so that they do
    not depend on the padded length. False leaves padding in, as the libraries' heads and the authors' code
    do.
    """

    mask_padding: bool
    name: str = field(default="question_answering", init=False)
    over_tokens: bool = field(default=True, init=False)
    saved: bool = field(default=True, init=False)

    def add_to(self, model: Any, name: str) -> None:
        model.add_qa_head(name)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Start and end, [B, T] each."""
        return outputs.start_logits, outputs.end_logits

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """Reads attention_mask [B, T] of `batch`."""
        logits = self.logits(outputs, batch)
        if self.mask_padding:
            padding = batch["attention_mask"] == 0
            logits = tuple(part.masked_fill(padding, -torch.inf) for part in logits)
        return Predictive(tuple(_log_softmax(part) for part in logits))

    def labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Token indices of start and end, [B, 2]."""
        return batch["labels"]


@dataclass(frozen=True)
class _ClassesHead:
    """What heads over a few classes share: one factor, read from the model's `logits` [B, C]."""

    layers: int
    use_pooler: bool
    over_tokens: bool = field(default=False, init=False)
    saved: bool = field(default=True, init=False)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """One factor, [B, C]."""
        return (outputs.logits,)

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """One softmax over the classes or choices."""
        return Predictive(tuple(_log_softmax(part) for part in self.logits(outputs, batch)))

    def labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The class or the right choice, [B, 1]."""
        return batch["labels"]


@dataclass(frozen=True)
class ClassificationHead(_ClassesHead):
    """`layers` linear layers, tanh between, on the pooler's output or the first token's last state."""

    num_labels: int
    name: str = field(default="classification", init=False)

    def add_to(self, model: Any, name: str) -> None:
        _check_pooler(model, self.use_pooler)
        model.add_classification_head(
            name,
            num_labels=self.num_labels,
            layers=self.layers,
            activation_function="tanh",
            use_pooler=self.use_pooler,
        )


@dataclass(frozen=True)
class MultipleChoiceHead(_ClassesHead):
    """Scores each of two choices by `layers` linear layers, tanh between them; one softmax over the choices.

    The batch's tokens are [B, 2, T]; the model flattens them to [2B, T], the two choices of an example side
    by side.
    """

    name: str = field(default="multiple_choice", init=False)

    def add_to(self, model: Any, name: str) -> None:
        _check_pooler(model, self.use_pooler)
        model.add_multiple_choice_head(
            name, num_choices=2, layers=self.layers, activation_function="tanh", use_pooler=self.use_pooler
        )


class MaskedTokens(Predictive):
    """p(tokens|x) of B blocks, one factor over the vocabulary per masked token.

    The loss of masked language modelling is a mean over masked tokens. Every block has as many of them, so the
    mean over a batch's blocks is the mean over its masked tokens.
    """

    def nll(self, labels: Tensor) -> Tensor:
        """-log p(labels|x) for labels [B, F], the mean over the factors: [B]."""
        return super().nll(labels) / len(self.factors)


class _MaskedLMHead(BertStyleMaskedLMHead):
    """The library's head, read at the masked tokens alone: at all of them it would cost more than the encoder."""

    def forward(
        self,
        outputs: Any,
        cls_output: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_dict: bool = False,
        *,
        masked: Tensor,
        **rest: Any,
    ) -> Any:
        """Logits [B, F, V] of the tokens that `masked` [B, T] marks, F in each row, from left to right."""
        hidden = outputs[0][masked.bool()].unflatten(0, (len(masked), -1))
        return super().forward(BaseModelOutput(hidden), cls_output, attention_mask, return_dict, **rest)


@dataclass(frozen=True)
class MaskedLMHead:
    """Names the tokens that were masked: dense layer, GELU, layer norm, and the transposed word embeddings.

    The head that was published with the encoder (mBERT's, XLM-R's, the miniature world's) stays frozen, like the
    encoder: only the adapter can bring the language nearer to what both know. mDeBERTa has none of its own (its file
    holds one of the generator, whose encoder was not published): there a new one trains with the adapter, on frozen
    word embeddings. In front of these stands the inverse of the adapter's invertible block (MAD-X; Pfeiffer et al.,
    2020). Nobody reads the head after training, so it is not saved.
    """

    name: str = field(default="masked_lm", init=False)
    over_tokens: bool = field(default=False, init=False)
    saved: bool = field(default=False, init=False)

    def add_to(self, model: Any, name: str) -> None:
        head = _MaskedLMHead(model, name)
        if "default" in model.heads and isinstance(model.heads["default"], BertStyleMaskedLMHead):
            head.load_state_dict(model.heads["default"].state_dict())
            head.requires_grad_(False)
        model.add_prediction_head(head)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """log p of the right and of the likeliest token, [B, F] each: whole vocabularies would not fit in memory."""
        log_probability = _log_softmax(outputs.logits)
        right = log_probability.gather(2, self.labels(batch).unsqueeze(2)).squeeze(2)
        return right, log_probability.amax(dim=2)

    def predictive(self, outputs: Any, batch: Mapping[str, Tensor]) -> Predictive:
        """One softmax over the vocabulary per masked token."""
        return MaskedTokens(_log_softmax(outputs.logits).unbind(dim=1))

    def labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The masked tokens, [B, F]."""
        return batch["labels"]


def _check_pooler(model: Any, use_pooler: bool) -> None:
    # adapters hands such a head the hidden states of *all* tokens: logits of a wrong shape, unnoticed.
    if use_pooler and getattr(model.base_model, "pooler", None) is None:
        raise RunError(
            f"The head asks for the pooler's output, but {type(model.base_model).__name__} has no pooler. "
            f"Build the head with use_pooler=False: it then reads the first token."
        )


def predict(model: nn.Module, head: Head, batch: Mapping[str, Tensor]) -> Predictive:
    """p(y|x) of a tokenised batch, by one forward pass through the model's active adapters and head."""
    return head.predictive(forward(model, batch), batch)


def forward(model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """The model's outputs for a tokenised batch. Never with labels: transformers clamps those of a span in place."""
    return model(**{name: batch[name] for name in MODEL_INPUTS if name in batch})
