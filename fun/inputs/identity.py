"""Run identity (design contract 1): a run_id hashes what the training reads, as canonical JSON.

Always in: the semantics number, task, model, adapter, schedule, seed, precision and a content key per input.
Test sets and the language adapters of target languages never are: each evaluation of a record has keys of its own.
Every other active field enters only where it differs from the frozen defaults of its semantics number, so a
field added later, with a default that means what was done before, renames no finished run.
"""

from collections.abc import Mapping
from typing import Any

from fun.config.schema import RunConfig

SEMANTICS = 2
"""Raised whenever a default or a meaning changes; then FROZEN gets an entry of its own."""

FROZEN: dict[int, dict[str, Any]] = {
    2: {
        "adapter.embeddings": "always", "adapter.reduction": 16, "adapter.nonlinearity": "relu", "adapter.r": 8,
        "adapter.alpha": 8, "data_size.subset": "seeded",
        "fisher.batches": 40, "fisher.labels": "sampled", "fisher.name": "algorithm2",
        "schedule.delay": 0, "schedule.first": "top", "schedule.offset": 1,
        "task.bare_scripts": [], "task.choices": ["choice1", "choice2"], "task.columns": ["premise", "hypothesis"],
        "task.labels": ["entailment", "neutral", "contradiction"], "task.mask_padding": True,
        "task.max_answer_length": 30, "task.n_best": 20, "task.overflow": "continue", "task.pad_to_max_length": False,
        "train.clip": 1.0, "train.optimizer": "adamw", "train.warmup": 0, "train.eval_slots": 4096,
        "train.lr_schedule": "linear", "train.slots": 1024, "train.ties": "earliest", "train.weight_decay": 0.0,
    }
}  # fmt: skip

ALWAYS = ("task.name", "model.name", "adapter.name", "schedule.name", "seed", "precision")

# The encoder enters as a content key among the inputs; where it came from is not what it is.
NEVER = ("model.source", "model.revision")


def identity_of(config: RunConfig, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What the run_id hashes; `inputs` are the content keys of what the training reads."""
    active, frozen = flat(config.active()), FROZEN[SEMANTICS]
    fields = {
        field: value
        for field, value in active.items()
        if field not in (*ALWAYS, *NEVER) and (field not in frozen or frozen[field] != value)
    }
    always = {field.removesuffix(".name"): active[field] for field in ALWAYS}
    return {"semantics": SEMANTICS, **always, "fields": fields, "inputs": dict(inputs)}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names, as they are typed; tuples as lists."""
    fields: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            fields |= flat(value, f"{prefix}{key}.")
        else:
            fields[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return fields
