"""Reads a split as a run would, and gathers what there is to see of it. Loads the tokenizer, never weights."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from fun.data import Source, subset
from fun.errors import ConfigError
from fun.inputs.keys import encoder_key, source
from fun.inspect.request import Request
from fun.inspect.views import VIEWS, Example, Lengths
from fun.models.encoders import load_tokenizer
from fun.tasks.base import Feature, Row, Task


@dataclass(frozen=True)
class Report:
    """What was read, its lengths, what was lost of it, and some examples."""

    read: dict[str, str]
    lengths: list[Lengths]
    losses: list[str]
    examples: list[Example]


def report(request: Request) -> Report:
    """Read the whole split, show a part of it. Raises ConfigError and HubError as the run itself would."""
    config = request.config
    data = source(config)
    with warnings.catch_warnings():
        # Byte fallback, which a converted tokenizer lacks: `losses` counts what it cost.
        warnings.simplefilter("ignore", UserWarning)
        tokenizer = load_tokenizer(config.model.source, config.model.revision)
    task: Task[Any] = config.task
    rows, features = _examples(request, task, data, tokenizer)
    seen = VIEWS[task.kind](task, tokenizer, rows, features, config.seed)
    if request.first >= seen.count:
        raise ConfigError(f"first is {request.first}; this split has {seen.count:,} {seen.unit}: type a smaller one")
    chosen = range(request.first, min(request.first + request.count, seen.count))
    return Report(
        read={
            "run": f"task={task.name} model={config.model.name}",
            "data": f"{request.dataset}, lang={request.language}, split={request.split}: {seen.count:,} {seen.unit}",
            "from": data.key(request.dataset, request.language, request.split),
            "tokenizer": f"{type(tokenizer).__name__} with {len(tokenizer):,} pieces, of {encoder_key(config)}",
        },
        lengths=seen.lengths(),
        losses=[*seen.losses(), seen.unknown()],
        examples=[seen.example(index) for index in chosen],
    )


def _examples(
    request: Request, task: Task[Any], data: Source, tokenizer: PreTrainedTokenizerBase
) -> tuple[Sequence[Row], Sequence[Feature]]:
    """The rows and features of the split, or of the training subset that the run takes."""
    rows: Sequence[Row] = data.rows(request.dataset, request.language, request.split)
    size, rule = request.config.data_size.examples, request.config.data_size.subset
    if request.split != "train" or rule is None:
        return rows, task.encode(rows, tokenizer)
    rows = subset(rows, size, rule)
    features: Sequence[Feature] = task.encode(rows, tokenizer)
    if rule == "first":  # the authors' code cuts a second time, after windowing
        features = features[:size]
        rows = rows[: features[-1].example + 1]
    return rows, features
