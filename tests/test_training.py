"""Micro-batches, selection, learning rate, randomness by position, and dropout, against slow or hand-made answers."""

import itertools

import numpy as np
import pytest
import torch

from fun.assembly import build_adapter, build_estimator, build_settings, build_task
from fun.config import compose
from fun.models.task_model import TaskModel
from fun.tasks.base import Feature
from fun.training.batches import Batches, sorted_parts
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.inference import outputs
from fun.training.loop import Training, is_better, layers_text, learning_rate
from fun.training.randomness import derive, generator


def feature(length: int, example: int = 0, choices: int | None = None) -> Feature:
    tokens = np.arange(length, dtype=np.int32) % 50 + 5
    shaped = tokens if choices is None else np.stack([tokens] * choices)
    return Feature(example, {"input_ids": shaped, "attention_mask": np.ones_like(shaped)}, (example % 3,))


def cost(parts: list[list[Feature]], part_cost: int) -> int:
    return sum(max(f.length for f in part) * len(part) + part_cost for part in parts)


@pytest.mark.parametrize("seed", range(5))
def test_parts_cost_as_little_as_any_cut_of_the_sorted_batch(seed: int) -> None:
    lengths = np.random.RandomState(seed).randint(5, 60, size=9)
    features = [feature(int(length), example) for example, length in enumerate(lengths)]
    parts = sorted_parts(features, slots=150, part_cost=20)
    ordered = sorted(features, key=lambda f: f.length)
    every_cut = []
    for cuts in itertools.product([False, True], repeat=8):  # brute force over all 256
        edges = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), 9]
        candidate = [ordered[a:b] for a, b in itertools.pairwise(edges)]
        if all(max(f.length for f in part) * len(part) <= 150 or len(part) == 1 for part in candidate):
            every_cut.append(cost(candidate, 20))
    assert cost(parts, 20) == min(every_cut)
    assert sorted(f.example for part in parts for f in part) == list(range(9))


def test_a_part_counts_both_choices_of_an_example() -> None:
    parts = sorted_parts([feature(10, i, choices=2) for i in range(6)], slots=60, part_cost=0)
    assert [len(part) for part in parts] == [3, 3]


def test_batches_depend_on_position_alone_and_cover_each_epoch_once() -> None:
    def batches(seed: int) -> Batches:
        features = [feature(5 + i, i) for i in range(10)]
        return Batches(features, batch_size=4, seed=seed, slots=64, pad_id=0, device=torch.device("cpu"))

    def lengths(batch) -> list[int]:  # type: ignore[no-untyped-def]
        return sorted(int(n) for part in batch.parts for n in part["attention_mask"].sum(1))

    one, other = batches(0), batches(0)
    assert [one[update].size for update in (1, 2, 3, 4)] == [4, 4, 2, 4]
    assert sorted(n for update in (4, 5, 6) for n in lengths(one[update])) == list(range(5, 15))
    assert lengths(other[5]) == lengths(one[5])  # without the updates before
    assert lengths(one[1]) != lengths(one[4])
    assert lengths(batches(1)[1]) != lengths(one[1])
    assert (one.epoch(3), one.epoch(4)) == (0, 1)


def test_seeds_derived_by_position_are_what_they_were() -> None:
    # Stored results depend on these numbers. By hand: printf "0/dropout/1" | sha256sum, 16 digits, halved.
    assert derive(0, "dropout", 1) == 248420055756719262
    assert derive(0, "dropout", 1) != derive(0, "order", 1) != derive(0, "dropout", 2) != derive(1, "dropout", 1)
    assert torch.equal(torch.rand(3, generator=generator(0, "x", 1)), torch.rand(3, generator=generator(0, "x", 1)))


def test_learning_rate_by_hand() -> None:
    assert [learning_rate(8.0, "linear", n, 4) for n in (1, 2, 3, 4)] == [8.0, 6.0, 4.0, 2.0]
    assert [learning_rate(8.0, "constant", n, 4) for n in (1, 4)] == [8.0, 8.0]


def test_ties_by_hand() -> None:
    assert [is_better(value, 50.0, "earliest") for value in (49.9, 50.0, 50.1)] == [False, False, True]
    assert [is_better(value, 50.0, "latest") for value in (49.9, 50.0, 50.1)] == [False, True, True]


def test_open_layers_for_people() -> None:
    assert [layers_text(frozenset(s)) for s in ((), {11}, {11, 10, 9}, {11, 0, 3})] == ["head", "11", "11-9", "11,3,0"]


class Journal:
    """Keeps what the loop writes."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []
        self.checkpoints: list[Checkpoint] = []

    def log(self, line) -> None:  # type: ignore[no-untyped-def]
        self.lines.append(dict(line))

    def save(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint)


def training(
    updates: int, *, slots: int = 1024, dropout: float = 0.0, schedule: str = "gu"
) -> tuple[Training, TaskModel, Journal]:
    chosen = ["schedule=std"] if schedule == "std" else [f"schedule={schedule}", "schedule.k=1"]
    config = compose([*chosen, "train.updates=12", f"train.slots={slots}", "fisher.batches=2"])
    task = build_task(config)
    model = TaskModel(
        "world", build_adapter(config.adapter), task.head(), name="mnli", language_adapters={"en": "world"}, init_seed=7
    )
    for module in model.module.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    model.activate("en")
    features = [feature(6 + 5 * (i % 7), i) for i in range(24)]
    batches = Batches(features, batch_size=8, seed=0, slots=slots, pad_id=model.pad_id, device=model.device)
    journal = Journal()
    settings = build_settings(config, updates, 0)
    loop = Training(
        model,
        batches,
        config.schedule.built,
        build_estimator(config.fisher),
        lambda: {"accuracy": 1.0},
        settings,
        journal,
        Progress(),
    )
    return loop, model, journal


def test_micro_batches_give_the_gradient_of_the_whole_batch() -> None:
    first_norms = []
    for slots in (60, 100_000):
        loop, model, journal = training(1, slots=slots, schedule="std")
        model.module.double()
        loop.train()
        first_norms.append((journal.lines[1]["loss"], journal.lines[1]["norm"]))
    (loss, norm), (whole_loss, whole_norm) = first_norms
    assert loss == pytest.approx(whole_loss, rel=1e-12)
    assert norm == pytest.approx(whole_norm, rel=1e-10)


def test_dropout_of_an_update_depends_on_the_update_alone() -> None:
    loop, _, journal = training(4, dropout=0.2)
    loop.train()
    again, _, repeated = training(4, dropout=0.2)
    torch.manual_seed(99)
    again.train()
    plain, _, without = training(4, dropout=0.0)
    plain.train()
    assert repeated.lines == journal.lines != without.lines


def test_inference_is_the_same_in_any_batching_and_keeps_the_order() -> None:
    _, model, _ = training(1)
    features = [feature(6 + 5 * (i % 7), i) for i in range(24)]
    alone = [outputs(model, [f], slots=1, precision="fp32")[0][0] for f in features]
    together = outputs(model, features, slots=300, precision="fp32")
    assert model.module.training is False
    for (found,), expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    _, one, _ = training(1)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    _, other, _ = training(1, schedule="fun")
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in one.state().items():
        assert torch.equal(value, other.state()[name])
