"""L2 and EWC against autograd of their equations, closed forms and hand-computed cases; what is refused."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fun.errors import ConfigError
from fun.fisher.diagonal import combined, normalised, write
from fun.inputs import compose
from fun.methods.anchor import Anchored, Ewc
from fun.models.task_model import TaskModel
from fun.training.checkpoint import Checkpoint
from tests.test_training import training

FULL = ("task=mnli", "adapter=full", "schedule=std")


def parameters(dtype: torch.dtype = torch.float64) -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    return {name: nn.Parameter(torch.randn(shape, dtype=dtype)) for name, shape in (("a", (5, 3)), ("b", (7,)))}


def moved(by: dict[str, nn.Parameter]) -> None:
    with torch.no_grad():
        for parameter in by.values():
            parameter.add_(torch.randn_like(parameter))


def loss(of: dict[str, nn.Parameter]) -> Tensor:
    return (of["a"].sin().sum() * of["b"].cos().sum()).square()


def given(held: dict[str, nn.Parameter], method: Anchored) -> dict[str, Tensor]:
    """The gradient of the loss, and what the method adds."""
    for parameter in held.values():
        parameter.grad = None
    loss(held).backward()
    method.add_gradient(1)
    return {name: parameter.grad.clone() for name, parameter in held.items() if parameter.grad is not None}


@pytest.mark.parametrize("weighted", [False, True], ids=["Eq. 1", "Eq. 2"])
def test_the_gradient_is_that_of_the_equation_by_autograd(weighted: bool) -> None:
    held = parameters()
    pretrained = {name: parameter.detach().clone() for name, parameter in held.items()}
    weights = {name: torch.rand_like(p).detach() for name, p in held.items()} if weighted else None
    method = Anchored(held, 0.3, weights)
    moved(held)
    squares = {n: (p - pretrained[n]).square() * (weights[n] if weights else 1) for n, p in held.items()}
    penalty = 0.3 / 2 * (squares["a"].sum() + squares["b"].sum())
    expected = torch.autograd.grad(loss(held) + penalty, list(held.values()))
    for found, wanted in zip(given(held, method).values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    distance = math.sqrt(sum((p - pretrained[n]).square().sum().item() for n, p in held.items()))
    assert method.logged() == pytest.approx({"distance": distance, "penalty": penalty.item()}, rel=1e-12)


def test_gradient_descent_ends_between_the_optimum_and_the_pretrained_weights() -> None:
    """½ ‖θ - a‖² + λ/2 ‖θ - θ*‖² is least at (a + λ θ*) / (1 + λ)."""
    theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    method, optimum, strength = Anchored({"w": theta}, 3.0), torch.tensor([5.0, 6.0], dtype=torch.float64), 3.0
    descent = torch.optim.SGD([theta], lr=0.1)
    for update in range(200):
        theta.grad = theta.detach() - optimum
        method.add_gradient(update)
        descent.step()
    expected = (optimum + strength * torch.tensor([1.0, -2.0])) / (1 + strength)
    torch.testing.assert_close(theta.detach(), expected, rtol=1e-12, atol=1e-12)


def test_a_fisher_of_ones_is_l2_and_one_of_zeros_is_nothing_bit_for_bit() -> None:
    held = parameters(torch.float32)
    plain = Anchored(held, 0.3)
    ones = Anchored(held, 0.3, {name: torch.ones_like(p).detach() for name, p in held.items()})
    zero = Anchored(held, 0.3, {"a": torch.zeros(5, 3), "b": torch.ones(7)})
    moved(held)
    by_plain, by_ones, by_zero = (given(held, method) for method in (plain, ones, zero))
    vanilla = given(held, Anchored({}, 0.3))
    assert all(torch.equal(by_plain[name], by_ones[name]) for name in held)
    assert torch.equal(by_zero["a"], vanilla["a"])
    assert torch.equal(by_zero["b"], by_plain["b"])
    assert not torch.equal(by_plain["a"], vanilla["a"])


def test_at_the_pretrained_weights_nothing_is_added_and_closed_parameters_stay_closed() -> None:
    held = parameters(torch.float32)
    method = Anchored(held, 1e6)
    vanilla = given(held, Anchored({}, 1.0))
    assert all(torch.equal(given(held, method)[name], vanilla[name]) for name in held)
    held["b"].grad = None
    moved(held)
    method.add_gradient(1)
    assert held["b"].grad is None


def test_clipping_sees_the_penalty_by_hand() -> None:
    # ∇ℓ = (0.6, 0), norm 0.6 below the limit of 1; λ(θ - θ*) = 2 · (0, 0.4): together (0.6, 0.8), of norm 1.
    # With λ = 5: (0.6, 2), norm 2.08806; clipped to 1: (0.287348, 0.957826).
    for strength, expected in ((2.0, (0.6, 0.8)), (5.0, (0.287348, 0.957826))):
        theta = nn.Parameter(torch.zeros(2))
        method = Anchored({"w": theta}, strength)
        with torch.no_grad():
            theta[1] = 0.4
        theta.grad = torch.tensor([0.6, 0.0])
        method.add_gradient(1)
        nn.utils.clip_grad_norm_([theta], 1.0)
        assert theta.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_boundless_strength_keeps_the_pretrained_weights_up_to_one_step() -> None:
    held = parameters()
    pretrained = {name: parameter.detach().clone() for name, parameter in held.items()}
    method, descent = Anchored(held, 1e12), torch.optim.SGD(held.values(), lr=0.01)
    farthest = 0.0
    for update in range(50):  # clipped to a norm of 1, each is as long as the learning rate
        descent.zero_grad()
        loss(held).backward()
        method.add_gradient(update)
        nn.utils.clip_grad_norm_(held.values(), 1.0)
        descent.step()
        farthest = max(farthest, method.logged()["distance"])
    assert 0 < farthest <= 0.01 * (1 + 1e-9)
    assert all((parameter - pretrained[name]).norm() <= 0.01 for name, parameter in held.items())


class World:
    """What a regularizer asks of a model."""

    def __init__(self) -> None:
        self.held = parameters(torch.float32)

    def anchored(self) -> dict[str, nn.Parameter]:
        return self.held


def fisher(folder: Path, language: str, scale: float) -> Path:
    torch.manual_seed(len(language) + int(scale))
    path = folder / f"{language}.safetensors"
    write({"a": scale * torch.rand(5, 3), "b": scale * torch.rand(7), "pooler": torch.ones(2)}, path, {})
    return path


def test_two_languages_summed_at_λ_are_their_mean_at_2λ_bit_for_bit(tmp_path: Path) -> None:
    files = {"fr": fisher(tmp_path, "fr", 3.0), "en": fisher(tmp_path, "en", 700.0)}
    for normalise in ("mean", "none"):
        model: Any = World()
        chosen: dict[str, Any] = {"languages": ("fr", "en"), "normalise": normalise}
        summed = Ewc(strength=0.5, combine="sum", **chosen).build(model, 0, files, 1)
        mean = Ewc(strength=1.0, combine="mean", **chosen).build(model, 0, files, 1)
        moved(model.held)
        assert all(torch.equal(given(model.held, summed)[n], given(model.held, mean)[n]) for n in model.held)


def test_normalised_has_mean_one_over_what_is_held() -> None:
    constant = normalised({"a": torch.full((5, 3), 1e-9), "b": torch.full((7,), 1e-9)})
    assert all(torch.equal(tensor, torch.ones_like(tensor)) for tensor in constant.values())
    by_hand = normalised({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([9.0])})
    assert {name: tensor.tolist() for name, tensor in by_hand.items()} == {"a": [0.25, 0.5], "b": [2.25]}
    assert combined([by_hand, by_hand], 1)["b"].tolist() == [4.5]


def test_held_is_what_trains_and_was_pretrained() -> None:
    config = compose([*FULL, "regularizer=l2", "regularizer.strength=0.1"])
    head = config.task.head(layers=2, pooler=False)
    model = TaskModel("world", config.adapter, head, name="mnli", language_adapters={}, init_seed=0)
    held = model.anchored()
    left = model.parameters().keys() - held.keys()
    assert left == {name for name in model.parameters() if name.startswith("heads.mnli.")}
    model.pooler = False  # as where MLM alone pretrained the encoder
    assert held.keys() - model.anchored().keys() == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert {"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.11.output.LayerNorm.bias"} <= held.keys()
    method = config.regularizer.build(model, 0, {}, 1)
    assert method is not None
    assert method.logged() == {"distance": 0.0, "penalty": 0.0}


def test_a_run_that_goes_on_is_held_by_the_pretrained_weights(tmp_path: Path) -> None:
    typed = ["adapter=full", "regularizer=l2", "regularizer.strength=0.5", "train.eval_every=2", "checkpoint.every=4"]
    whole, model, journal = training(6, schedule="std", typed=typed)
    journal.save = lambda checkpoint: checkpoint.write(tmp_path / str(checkpoint.progress.update))  # type: ignore[method-assign]
    whole.run()
    rest, other, resumed = training(6, schedule="std", typed=typed)
    checkpoint = Checkpoint.read(tmp_path / "4")
    rest.progress = checkpoint.progress
    rest.restore(checkpoint)
    rest.run()
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in model.state().items())
    ends = [[line for line in log.lines if line["kind"] == "validation"][-1] for log in (journal, resumed)]
    assert ends[0] == ends[1]
    assert {"distance", "penalty"} <= ends[0].keys()


@pytest.mark.parametrize("origins", [{"fr": "run:0123"}, {"de": "train"}])
def test_an_origin_is_a_run_for_one_of_the_languages(origins: dict[str, str]) -> None:
    ewc = Ewc(strength=1.0, combine="sum", normalise="mean", languages=("fr",), origins=origins)
    with pytest.raises(ConfigError, match=r"expected train or run:<16 hexadecimal digits> for one of fr"):
        ewc.check(compose(FULL))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ((*FULL, "regularizer.strength=0"), "regularizer=none"),
        ((*FULL, "regularizer.strength=-1"), "greater than or equal to 0"),
        ((*FULL, "regularizer.strength=1", "train.weight_decay=0.01"), r"type train\.weight_decay=0"),
        (("task=mnli", "adapter=madx", "regularizer.strength=1"), "type adapter=full, or regularizer=none"),
        (FULL, r"type regularizer\.strength=…"),
    ],
)
def test_what_could_not_work_is_refused(typed: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as error:
        compose(["regularizer=l2", *typed])
    assert "\n" not in str(error.value)
