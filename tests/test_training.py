"""Micro-batches, selection, learning rate, randomness by position, and dropout, against slow or hand-made answers."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from fun.errors import RunError
from fun.fisher import Algorithm2, Estimator, Exact
from fun.inputs import compose
from fun.methods import Method, Unfreezing
from fun.models.heads import Axis, ClassificationHead, Predictive, Unit, labelled, predict
from fun.models.task_model import TaskModel
from fun.randomness import derive, generator
from fun.tasks.base import Feature, collate
from fun.training.batches import Batches, sorted_parts
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.inference import outputs
from fun.training.loop import Training, is_better, layers_text
from fun.training.optimizer import TransformersAdamW, learning_rate
from tests.toys import Alternating, Pulling


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
    # With a warm-up as transformers counts it: the first update is made at 0.
    assert [learning_rate(8.0, "linear", n, 6, 2) for n in range(1, 7)] == [0.0, 4.0, 8.0, 6.0, 4.0, 2.0]
    assert [learning_rate(8.0, "constant", n, 6, 2) for n in range(1, 7)] == [0.0, 4.0, 8.0, 8.0, 8.0, 8.0]


def test_the_authors_adamw_by_hand() -> None:
    # g = 1e-7 in both updates. t = 1: m = 1e-8, √v = 1e-7·√0.001 = 3.1623e-9, √v + ε = 1.31623e-8; the step is
    # 0.1 · √0.001/0.1 · 1e-8 / 1.31623e-8 = 0.0240253. torch: 0.1 · 1e-7 / (1e-7 + 1e-8) = 0.0909091.
    # t = 2: m = 1.9e-8, √v = 1e-7·√0.001999 = 4.4710e-9; 0.1 · √0.001999/0.19 · 1.9e-8 / 1.44710e-8 = 0.0308961.
    ours, torchs = torch.nn.Parameter(torch.ones(1, dtype=torch.float64)), torch.nn.Parameter(torch.ones(1))
    optimizers = (
        TransformersAdamW([ours], lr=0.1, weight_decay=0.0),
        torch.optim.AdamW([torchs], lr=0.1, weight_decay=0.0),
    )
    moved = []
    for _ in range(2):
        ours.grad, torchs.grad = torch.full_like(ours, 1e-7), torch.full_like(torchs, 1e-7)
        for optimizer in optimizers:
            optimizer.step()
        moved.append(1 - ours.item())
    assert moved == pytest.approx([0.0240253, 0.0240253 + 0.0308961], rel=1e-5)
    assert 1 - torchs.item() == pytest.approx(2 * 0.0909091, rel=1e-5)
    # Where gradients are large beside ε both are the same; the decay is that of the moved weight: (1 - 0.1)·0.9.
    decayed = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    decayed.grad = torch.ones_like(decayed)
    TransformersAdamW([decayed], lr=0.1, weight_decay=1.0).step()
    assert decayed.item() == pytest.approx(0.9 * 0.9, rel=1e-6)


def test_validation_once_an_epoch_is_every_so_many_updates() -> None:
    loop, _, journal = training(
        7, schedule="std", typed=["train.eval_every=epoch"]
    )  # 24 examples by 8: three updates in an epoch
    loop.run()
    assert [line["update"] for line in journal.lines if line["kind"] == "validation"] == [3, 6, 7]


def test_dropout_is_the_encoders_own_or_what_is_asked_for_in_encoder_and_head() -> None:
    adapter = compose(["schedule=std"]).adapter
    head = ClassificationHead(num_labels=3, layers=2, use_pooler=False)
    for asked, expected in ((None, {0.0}), (0.3, {0.3})):
        model = TaskModel("world", adapter, head, name="x", language_adapters={}, init_seed=0, dropout=asked)
        dropouts = {
            name: module.p for name, module in model.module.named_modules() if isinstance(module, torch.nn.Dropout)
        }
        assert {p for name, p in dropouts.items() if ".adapters." not in name} == expected
        assert any(name.startswith("heads.x") for name in dropouts)
        attention = [m.dropout_prob for m in model.module.modules() if hasattr(m, "dropout_prob")]
        assert set(attention) == expected
        assert len(attention) == 12


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
    updates: int, *, slots: int = 1024, dropout: float = 0.0, schedule: str = "gu", typed: Sequence[str] = ()
) -> tuple[Training, TaskModel, Journal]:
    stepwise = [] if schedule.startswith(("std", "gradfreeze")) else ["schedule.k=1"]
    config = compose(
        [f"schedule={schedule}", *stepwise, *typed, "train.updates=12", f"train.slots={slots}", "fisher.batches=2"]
    )
    head = config.task.head(layers=config.model.head_layers, pooler=config.model.pooler)
    model = TaskModel("world", config.adapter, head, name="mnli", language_adapters={"en": "world"}, init_seed=7)
    for module in model.module.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    model.activate("en")
    features = [feature(6 + 5 * (i % 7), i) for i in range(24)]
    batches = Batches(features, batch_size=8, seed=0, slots=slots, pad_id=model.pad_id, device=model.device)
    journal = Journal()
    loop = Training(config, model, batches, updates, lambda: {"accuracy": 1.0}, dict, journal, Progress())
    return loop, model, journal


def test_batches_made_ahead_change_nothing() -> None:
    plain, model, journal = training(5, dropout=0.2)  # 3 updates an epoch
    plain.run()
    ahead, same, repeated = training(5, dropout=0.2)
    ahead.batches.ahead = True
    ahead.run()
    assert repeated.lines == journal.lines
    torch.testing.assert_close(same.state(), model.state(), rtol=0, atol=0)
    # In whatever order they are asked for: the one made ahead is not always the next, as behind a resume.
    for update in (4, 5, 2, 3, 7, 7, 8):
        torch.testing.assert_close(ahead.batches[update].parts, plain.batches[update].parts, rtol=0, atol=0)


def test_micro_batches_give_the_gradient_of_the_whole_batch() -> None:
    first_norms = []
    for slots in (60, 100_000):
        loop, model, journal = training(1, slots=slots, schedule="std")
        model.module.double()
        loop.run()
        first_norms.append((journal.lines[1]["loss"], journal.lines[1]["norm"]))
    (loss, norm), (whole_loss, whole_norm) = first_norms
    assert loss == pytest.approx(whole_loss, rel=1e-12)
    assert norm == pytest.approx(whole_norm, rel=1e-10)


def test_dropout_of_an_update_depends_on_the_update_alone() -> None:
    loop, _, journal = training(4, dropout=0.2)
    loop.run()
    again, _, repeated = training(4, dropout=0.2)
    torch.manual_seed(99)
    again.run()
    plain, _, without = training(4, dropout=0.0)
    plain.run()
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


def gradients_at_step(loop: Training) -> list[dict[str, torch.Tensor]]:
    """What the optimizer will be given, filled while the loop trains."""
    given: list[dict[str, torch.Tensor]] = []
    loop.optimizer.register_step_pre_hook(
        lambda *_: given.append({n: p.grad.clone() for n, p in loop.model.parameters().items() if p.grad is not None})
    )
    return given


def test_a_regularizer_adds_its_gradient_and_a_mask_multiplies_behind_it_before_clipping() -> None:
    typed = ["regularizer=pull", "regularizer.strength=3.0", "mask=alternate", "train.clip=0.05", "train.eval_every=2"]
    loop, model, journal = training(4, schedule="std", typed=typed)
    _, pull, mask = loop.methods
    assert isinstance(pull, Pulling)
    assert isinstance(mask, Alternating)
    model.module.double()
    pull.start = {name: value.double() + 0.01 for name, value in pull.start.items()}
    given = gradients_at_step(loop)

    def by_autograd() -> dict[str, torch.Tensor]:
        """The gradient of loss and penalty together, by autograd at the weights as they are."""
        batch = loop.batches[1]
        model.module.train()
        losses = [predict(model.module, model.head, part).nll(part["labels"]).sum() for part in batch.parts]
        total = sum(losses) / batch.size + pull.penalty()
        found = torch.autograd.grad(total, list(model.parameters().values()))
        return dict(zip(model.parameters(), found, strict=True))

    expected = by_autograd()
    loop.run()
    norm = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    (first, *_) = (line for line in journal.lines if line["kind"] == "train")
    assert first["norm"] == pytest.approx(norm.item(), rel=1e-9)  # of the gradient before the mask
    for layer, block in model.blocks.items():
        for name in block:
            expected[name].view(-1)[::2] = 0
            expected[name] *= layer != 0
    masked = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    assert masked < norm
    for name, gradient in expected.items():
        torch.testing.assert_close(given[0][name], gradient * 0.05 / (masked + 1e-6), rtol=1e-7, atol=1e-12)
    assert mask.calls == [(1, 0), (2, 0), (3, 0), (4, 1)]
    validation = [line for line in journal.lines if line["kind"] == "validation"]
    assert [set(line) for line in validation] == [{"kind", "update", "accuracy", "penalty"}] * 2


def test_a_mask_hides_no_gradient_that_is_not_finite() -> None:
    class Hide(Method):
        def mask_gradient(self, update: int, epoch: int) -> None:
            for parameter in model.parameters().values():
                if parameter.grad is not None:
                    parameter.grad.zero_()

    loop, model, _ = training(1, schedule="std")
    loop.methods.append(Hide())
    with torch.no_grad():
        next(iter(model.blocks[0].values())).fill_(torch.nan)
    with pytest.raises(RunError, match="update 1: the loss is nan"):
        loop.run()


def test_no_regularizer_and_no_mask_by_default() -> None:
    loop, _, _ = training(1)
    assert [type(method) for method in loop.methods] == [Unfreezing]


# --- Loss units: tagging, with a toy head; one label per marked token, more in some sentences than in others ---


@dataclass(frozen=True)
class TaggingHead:
    """One linear layer over the tokens that `words` marks, the first of each labelled word."""

    classes: int
    name: str = "tagging"
    over: Axis = "labels"
    unit: Unit = "labels"
    saved: bool = True

    def add_to(self, model, name: str) -> None:  # type: ignore[no-untyped-def]
        model.add_tagging_head(name, num_labels=self.classes, layers=1)

    def logits(self, outputs, batch):  # type: ignore[no-untyped-def]
        return (labelled(outputs.logits, batch["words"])[0],)

    def predictive(self, outputs, batch) -> Predictive:  # type: ignore[no-untyped-def]
        logits, present = labelled(outputs.logits, batch["words"])
        return Predictive(logits.log_softmax(dim=-1), present)


TAGGING = TaggingHead(classes=5)


def sentence(length: int, words: int) -> Feature:
    """`length` tokens, the first of each of `words` words at 1, 3, 5 …"""
    tokens = np.arange(length, dtype=np.int32) % 50 + 5
    marks = np.zeros_like(tokens)
    marks[1 : 2 * words : 2] = 1
    inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "words": marks}
    return Feature(length, inputs, tuple((length + word) % 5 for word in range(words)))


SENTENCES = [sentence(12, 5), sentence(9, 1), sentence(20, 8), sentence(9, 4), sentence(15, 2)]


@pytest.fixture(scope="module")
def tagger() -> TaskModel:
    config = compose(["schedule=std"])
    model = TaskModel("world", config.adapter, TAGGING, name="tags", language_adapters={"en": "world"}, init_seed=1)
    model.activate("en")
    model.module.double().eval()
    return model


def alone(model: TaskModel, feature: Feature) -> torch.Tensor:
    """log p of each word's classes [W, 5], without the code under test."""
    ids, mask = (torch.from_numpy(feature.inputs[n]).long()[None] for n in ("input_ids", "attention_mask"))
    logits = model.module(input_ids=ids, attention_mask=mask).logits[0]
    return logits[1 : 2 * len(feature.labels) : 2].log_softmax(-1)


def test_the_loss_of_tags_is_the_mean_over_words_whatever_the_parts(tagger: TaskModel) -> None:
    with torch.no_grad():
        words = [row[label] for f in SENTENCES for row, label in zip(alone(tagger, f), f.labels, strict=True)]
    expected = -torch.stack(words).mean().item()
    for slots in (20, 60, 1000):
        batches = Batches(SENTENCES, batch_size=5, seed=0, slots=slots, pad_id=0, device=tagger.device, unit="labels")
        batch = batches[1]
        assert (batch.size, batch.units) == (5, 20)
        with torch.no_grad():
            parts = [predict(tagger.module, TAGGING, part).nll(part["labels"]).sum() for part in batch.parts]
        assert sum(parts).item() / batch.units == pytest.approx(expected, rel=1e-9)


def test_an_example_of_several_words_has_one_log_probability_and_draws_a_tag_per_word_in_order(
    tagger: TaskModel,
) -> None:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        whole = predict(tagger.module, TAGGING, collate(SENTENCES, 0))
        single = [alone(tagger, feature) for feature in SENTENCES]
    drawn = whole.sample(torch.Generator().manual_seed(3))
    for row, (log_p, feature) in enumerate(zip(single, SENTENCES, strict=True)):
        count = len(feature.labels)
        # By inversion, one uniform number per word: the first class whose cumulative probability passes it.
        numbers = torch.rand(count, dtype=torch.float64, generator=random)
        by_hand = [int((log_p[w].exp().cumsum(0) < numbers[w] * log_p[w].exp().sum()).sum()) for w in range(count)]
        assert drawn[row, :count].tolist() == by_hand
        assert drawn[row, count:].tolist() == [0] * (8 - count)
        nll = -sum(log_p[w, label] for w, label in enumerate(by_hand))
        assert whole.nll(drawn)[row].item() == pytest.approx(nll.item(), rel=1e-9)
    assert whole.counts.tolist() == [5, 1, 8, 4, 2]

    padded = {name: torch.nn.functional.pad(tensor, (0, 7)) for name, tensor in collate(SENTENCES, 0).items()}
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        assert torch.equal(predict(tagger.module, TAGGING, padded).sample(torch.Generator().manual_seed(3)), drawn)
        cut = [
            predict(tagger.module, TAGGING, collate(part, 0)).sample(generator)
            for part in (SENTENCES[:2], SENTENCES[2:3], SENTENCES[3:])
        ]
    in_order = [
        row[: len(f.labels)].tolist() for row, f in zip((r for part in cut for r in part), SENTENCES, strict=True)
    ]
    assert in_order == [row[: len(f.labels)].tolist() for row, f in zip(drawn, SENTENCES, strict=True)]


def test_evaluation_gives_the_logits_of_an_examples_own_words(tagger: TaskModel) -> None:
    logits = outputs(tagger, SENTENCES, slots=30, precision="fp32")
    for (found,), feature in zip(logits, SENTENCES, strict=True):
        assert found.shape == (len(feature.labels), 5)
        with torch.no_grad():
            expected = alone(tagger, feature).numpy()
        normalised = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(normalised, expected, atol=1e-5)


@pytest.mark.parametrize("estimator", [Algorithm2(), Exact()], ids=repr)
def test_the_fisher_of_tags_is_that_of_the_examples_joint_labels(tagger: TaskModel, estimator: Estimator) -> None:
    batches = Batches(SENTENCES, batch_size=5, seed=0, slots=40, pad_id=0, device=tagger.device, unit="labels")
    blocks = {11: tagger.blocks[11]}
    scores = estimator.score(tagger.module, TAGGING, blocks, [batches[1]], torch.Generator().manual_seed(5))

    generator = torch.Generator().manual_seed(5)
    gradients = []
    for part in batches[1].parts:
        with torch.no_grad():
            drawn = predict(tagger.module, TAGGING, part).sample(generator)
        for row, labels in enumerate(drawn):
            length, count = int(part["attention_mask"][row].sum()), int(part["words"][row].sum())
            log_p = alone(tagger, sentence(length, count))
            loss = sum(log_p[word, labels[word]] for word in range(count))
            found = torch.autograd.grad(loss, list(blocks[11].values()))
            gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    if isinstance(estimator, Exact):
        expected = torch.stack([gradient.square().sum() for gradient in gradients]).mean()
    else:
        expected = torch.stack(gradients).mean(dim=0).square().sum() / len(gradients)
    assert scores == {11: pytest.approx(expected.item(), rel=1e-6)}
