"""Gradient masks: their statistics, Adam's closed forms, hand-written Adam, and what they leave alone."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fun.errors import ConfigError
from fun.inputs import compose
from fun.methods import MASKS
from fun.methods.graddrop import ElementMask, GradDrop, GradDropEpoch, LayerMask, Masking, Rule
from fun.models.blocks import is_projection, layer_of
from fun.randomness import generator
from fun.training.checkpoint import Checkpoint
from tests.conftest import Cli, outcome
from tests.test_resume import steps, wait_for_update
from tests.test_run import only
from tests.test_training import gradients_at_step, training

NAMES = (
    "graddrop",
    "layer_graddrop",
    "anneal_graddrop",
    "anneal_layer_graddrop",
    "graddrop_epoch",
    "graddrop_epoch_toggle",
)
GRADDROP = GradDrop(over="elements", p=0.2, rescale=True)
FULL = ["task=mnli", "adapter=full", "schedule=std"]


def masking(
    rule: Rule, sizes: tuple[int, ...] = (5000, 3000), seed: int = 0, over: type[Masking] = ElementMask
) -> Masking:
    """A mask over layers of one parameter each."""
    return over({i: {f"w{i}": nn.Parameter(torch.zeros(size))} for i, size in enumerate(sizes)}, seed, rule)


def masks(mask: Masking, update: int, epoch: int = 0) -> list[Tensor]:
    """What an update makes of gradients of one, by parameter."""
    for _, _, parameter in mask.parameters:
        parameter.grad = torch.ones_like(parameter)
    mask.before_update(update, epoch)
    mask.mask_gradient(update, epoch)
    return [parameter.grad for _, _, parameter in mask.parameters if parameter.grad is not None]


def test_elements_are_kept_by_chance_alone_and_make_up_for_the_dropped_ones() -> None:
    mask = masking(GRADDROP.rule(1))
    first, second = masks(mask, 1), masks(mask, 2)
    for gradient in (*first, *second):
        assert set(gradient.unique().tolist()) == {0.0, 1.25}
        kept, n = (gradient > 0).double().mean().item(), len(gradient)
        assert abs(kept - 0.8) < 4 * math.sqrt(0.16 / n)
    assert mask.logged()["kept"] == pytest.approx(sum((g > 0).sum().item() for g in second) / 8000, abs=1e-12)
    pairs = [
        (first[0], second[0]),
        (first[0][:3000], first[1]),
        (first[0], masks(masking(GRADDROP.rule(1), seed=1), 1)[0]),
    ]
    for one, other in pairs:  # neither updates nor parameters nor seeds go together
        assert abs(torch.corrcoef(torch.stack((one, other)))[0, 1]) < 4 / math.sqrt(len(one))
    assert all(map(torch.equal, masks(mask, 1), first))
    small = masking(GRADDROP.rule(1), (40,))
    mean = torch.stack([masks(small, update)[0] for update in range(1, 2001)]).mean(0)
    assert (mean - 1).abs().max() < 4.5 * math.sqrt(0.25 / 2000)  # of m/0.8 the variance is 0.2/0.8


def test_a_closed_parameter_stays_closed_and_does_not_shift_the_others() -> None:
    mask = masking(GRADDROP.rule(1))
    expected = masks(mask, 1)[1]
    (_, _, below), (_, _, above) = mask.parameters
    below.requires_grad_(False)
    below.grad, above.grad = None, torch.ones_like(above)
    mask.mask_gradient(1, 0)
    assert below.grad is None
    assert torch.equal(above.grad, expected)
    assert mask.logged()["kept"] == (expected > 0).double().mean().item()


def test_the_numbers_of_an_epoch_variant_hold_for_the_epoch() -> None:
    mask = masking(GradDrop(over="elements", per="epoch", p=0.5, rescale=True).rule(3))
    assert torch.equal(masks(mask, 1, 0)[0], masks(mask, 2, 0)[0])
    assert not torch.equal(masks(mask, 1, 0)[0], masks(mask, 3, 1)[0])


def test_an_equal_share_opens_in_every_epoch_and_in_the_last_all_is_open() -> None:
    grown, toggled = (masking(GradDropEpoch(toggle=toggle).rule(10)) for toggle in (False, True))
    before, union = torch.zeros(5000), torch.zeros(5000)
    for epoch in range(10):
        now, part = masks(grown, 7 * epoch + 1, epoch)[0], masks(toggled, 7 * epoch + 1, epoch)[0]
        assert torch.equal(now, masks(grown, 7 * epoch + 2, epoch)[0])
        assert (now >= before).all()
        assert torch.equal(now - before, part)  # what is new is the toggle's, and it is disjoint
        assert abs(part.mean().item() - 0.1) < 4 * math.sqrt(0.09 / 5000)
        before, union = now, union + part
    assert torch.equal(before, torch.ones(5000))
    assert torch.equal(union, torch.ones(5000))


def test_annealing_by_hand() -> None:
    def dropped(how: Any, epochs: int) -> list[float]:
        choice = GradDrop(over="elements", p=0.9, anneal=how, rescale=True)
        return [choice.dropped(epoch, epochs) for epoch in range(epochs)]

    assert dropped("recurrence", 10) == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], abs=1e-15)
    assert dropped("recurrence", 10)[-1] == 0.0
    assert dropped("recurrence", 12)[-2:] == [pytest.approx(0.9 - 10 / 12), 0.0]  # printed: -0.017
    assert dropped("recurrence", 3) == pytest.approx([0.9, 0.9 - 1 / 3, 0.9 - 2 / 3])
    for epochs in range(2, 25):
        ends = dropped("endpoints", epochs)
        assert (ends[0], ends[-1]) == (0.9, 0.0)
        assert ends == pytest.approx([0.9 - 0.9 * e / (epochs - 1) for e in range(epochs)], abs=1e-12)
    rule = GradDrop(over="elements", p=0.9, anneal="recurrence", rescale=True).rule(10)
    assert (rule(50, 5).position, rule(50, 5).least, rule(50, 5).factor) == (
        50,
        pytest.approx(0.4),
        pytest.approx(1 / 0.6),
    )


# --- Adam (β 0.9, 0.999), a constant gradient of 1


def adam(parameter: nn.Parameter, *, moments: float, updates: float) -> torch.optim.Adam:
    """Adam with a learning rate of 1 that has made so many updates, and has these moments."""
    optimizer = torch.optim.Adam([parameter], lr=1.0, eps=1e-12)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = optimizer.state[parameter]
    state["step"].fill_(updates)
    state["exp_avg"].fill_(moments)
    state["exp_avg_sq"].fill_(moments)
    return optimizer


def test_under_adam_a_random_mask_scales_the_step_by_the_root_of_what_is_kept() -> None:
    for p, expected in ((0.2, 0.8944), (0.9, 0.3162)):
        parameters = [nn.Parameter(torch.zeros(4000)) for _ in range(2)]
        masks = [
            ElementMask({0: {"w": parameter}}, 3, GradDrop(over="elements", p=p, rescale=rescale).rule(1))
            for parameter, rescale in zip(parameters, (True, False), strict=True)
        ]
        optimizer = torch.optim.Adam(parameters, lr=1.0, eps=1e-12)
        for update in range(1, 501):
            if update == 251:
                starts = [parameter.detach().clone() for parameter in parameters]
            for parameter, mask in zip(parameters, masks, strict=True):
                parameter.grad = torch.ones_like(parameter)
                mask.before_update(update, 0)
                mask.mask_gradient(update, 0)
            optimizer.step()
        moved = [(start - parameter.detach()) / 250 for start, parameter in zip(starts, parameters, strict=True)]
        assert moved[0].mean().item() == pytest.approx(expected, rel=0.02)
        torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-4)  # the factor does nothing


def test_what_opens_late_steps_far_and_what_closes_drifts_on() -> None:
    numbers = torch.zeros(64, dtype=torch.float64)
    toggled = masking(GradDropEpoch(toggle=True).rule(2), (64,))
    _, _, parameter = toggled.parameters[0]
    parameter.data = numbers
    early = masks(toggled, 1, 0)[0] == 1
    assert 0 < early.sum() < 64
    optimizer = adam(parameter, moments=0.0, updates=1e6)
    moved = []
    for update in range(100):  # in the second epoch the rest opens, which had no gradient so far
        parameter.grad = torch.ones_like(parameter)
        toggled.before_update(update + 2, 1)
        toggled.mask_gradient(update + 2, 1)
        before = parameter.detach().clone()
        optimizer.step()
        moved.append((before - parameter.detach())[~early][0].item())
    assert moved[0] == pytest.approx(3.1623, abs=1e-4)
    assert max(moved) == moved[11] == pytest.approx(6.5685, abs=1e-4)
    assert sum(moved) == pytest.approx(466, abs=0.5)
    assert (parameter.detach()[early] == 0).all()  # zero moments and zero gradients: 0 / ε

    optimizer = adam(parameter, moments=1.0, updates=1e6)
    start = parameter.detach().clone()
    for update in range(300):  # a long constant gradient, and then the first part is closed
        parameter.grad = torch.ones_like(parameter)
        toggled.before_update(update + 2, 1)
        toggled.mask_gradient(update + 2, 1)
        optimizer.step()
    assert (start - parameter.detach())[early].tolist() == pytest.approx([9.045] * int(early.sum()), abs=1e-3)


def test_whole_layers_against_a_hand_written_adam() -> None:
    mask = masking(GradDrop(over="layers", p=0.5, rescale=False).rule(1), (2, 2), over=LayerMask)
    parameters = [parameter for _, _, parameter in mask.parameters]
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    theta, m, v, met, moved_while_dropped = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], set(), 0
    for n in range(1, 21):
        kept = [u >= 0.5 for u in torch.rand(2, generator=generator(0, "gradient mask", n)).tolist()]
        met.add(tuple(kept))
        gradients = [0.3 * (layer + 1) + 0.1 * n for layer in (0, 1)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.full_like(parameter, gradient)
        mask.before_update(n, 0)
        mask.mask_gradient(n, 0)
        assert mask.logged()["kept"] == sum(kept) / 2
        optimizer.step()
        for layer in (0, 1):
            g = gradients[layer] if kept[layer] else 0.0
            m[layer], v[layer] = 0.9 * m[layer] + 0.1 * g, 0.999 * v[layer] + 0.001 * g * g
            step = 0.1 * (m[layer] / (1 - 0.9**n)) / (math.sqrt(v[layer] / (1 - 0.999**n)) + 1e-8)
            moved_while_dropped += not kept[layer] and step > 0
            theta[layer] -= step
            assert parameters[layer].tolist() == pytest.approx([theta[layer]] * 2, rel=1e-4)
    assert len(met) == 4
    assert moved_while_dropped


# --- In training


@pytest.fixture(scope="module")
def plain() -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Any]]]:
    """Weights after two updates of full fine-tuning without a mask, the first update's gradient, and the log."""
    return trained("mask=none")


def trained(*typed: str) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Any]]]:
    loop, model, journal = training(2, schedule="std", dropout=0.1, typed=["adapter=full", "train.clip=1e9", *typed])
    given = gradients_at_step(loop)
    loop.run()
    return model.state(), given[0], [line for line in journal.lines if line["kind"] == "train"]  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["graddrop", "layer_graddrop"])
def test_dropping_nothing_is_no_mask_bit_for_bit(name: str, plain: tuple[Any, Any, Any]) -> None:
    weights, _, log = trained(f"mask={name}", "mask.p=0")
    assert all(torch.equal(value, plain[0][n]) for n, value in weights.items())
    assert (
        [line["norm"] for line in log] == [line["masked_norm"] for line in log] == [line["norm"] for line in plain[2]]
    )


@pytest.mark.parametrize("typed", [["mask.parameters=layers"], ["mask.parameters=kvu", "adapter.embeddings=layer0"]])
def test_outside_the_layers_nothing_is_masked(typed: list[str], plain: tuple[Any, Any, Any]) -> None:
    _, given, (first, _) = trained("mask=graddrop", *typed)
    _, expected, (unmasked, _) = plain
    differing = {name for name, gradient in given.items() if not torch.equal(gradient, expected[name])}
    assert differing == {
        n for n in given if layer_of(n) is not None and (typed[0].endswith("layers") or is_projection(n))
    }
    for name in differing:
        kept = given[name] != 0
        torch.testing.assert_close(given[name][kept], expected[name][kept] * 1.25)
    assert first["norm"] == unmasked["norm"]
    seen = torch.cat([gradient.flatten() for gradient in given.values()]).double().norm().item()
    assert first["masked_norm"] == pytest.approx(seen, rel=1e-4)


def test_parameters_of_xlmr_large_are_as_many_as_the_paper_has() -> None:
    from transformers import AutoModelForMaskedLM, XLMRobertaConfig

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "num_attention_heads": 16}
    with torch.device("meta"):
        large = AutoModelForMaskedLM.from_config(XLMRobertaConfig(**sizes))
    layers = {name: p.numel() for name, p in large.named_parameters() if layer_of(name) is not None}
    assert sum(layers.values()) == 302_309_376
    assert sum(size for name, size in layers.items() if is_projection(name)) == 75_571_200
    assert is_projection("deberta.encoder.layer.0.attention.self.key_proj.bias")
    assert not is_projection("deberta.encoder.layer.0.attention.self.query_proj.bias")


def test_what_is_not_open_yet_is_as_it_was_and_clipping_comes_last() -> None:
    loop, model, journal = training(
        6, schedule="std", typed=["mask=graddrop_epoch", "train.clip=0.05", "train.eval_every=3"]
    )
    start, ends = model.state(), []
    loop.validate = lambda: ends.append(model.state()) or {"accuracy": float(len(ends))}  # type: ignore[func-returns-value]
    given = gradients_at_step(loop)
    loop.run()
    mask = loop.methods[1]
    assert isinstance(mask, Masking)
    mask.before_update(1, 0)
    moved = 0
    for layer, name, parameter in mask.parameters:
        (kept,) = mask.kept(layer, name, parameter)
        closed = kept.view_as(parameter) == 0
        assert torch.equal(ends[0][name][closed], start[name][closed])
        moved += int((ends[1][name] != start[name])[closed].sum())
    assert moved
    norms = [torch.cat([g.flatten() for g in update.values()]).norm().item() for update in given]
    log = [line for line in journal.lines if line["kind"] == "train"]
    assert norms == pytest.approx([min(0.05, float(line["masked_norm"])) for line in log], rel=1e-3)  # type: ignore[arg-type]
    kept_by_epoch = [line["kept"] for line in journal.lines if line["kind"] == "validation"]
    assert kept_by_epoch == [pytest.approx(0.5, abs=0.01), 1.0]


def test_the_mask_is_that_of_the_update_whatever_its_parts() -> None:
    given = []
    for slots in (60, 100_000):
        loop, model, _ = training(1, slots=slots, schedule="std", typed=["mask=graddrop", "train.clip=1e9"])
        model.module.double()
        given.append(gradients_at_step(loop))
        loop.run()
    (parts,), (whole,) = given
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-9, atol=1e-12)
        assert torch.equal(parts[name] == 0, gradient == 0)


def test_beside_a_schedule_and_a_regularizer() -> None:
    typed = ["adapter=full", "regularizer=l2", "regularizer.strength=0.5", "mask=layer_graddrop", "mask.p=0.5"]
    loop, model, journal = training(3, typed=typed)
    given = gradients_at_step(loop)
    loop.run()
    for update, gradients in enumerate(given, 1):
        absent = {layer for layer, block in model.blocks.items() if not block.keys() & gradients.keys()}
        assert absent == set(range(12 - update))  # gu, k = 1
        kept = torch.rand(12, generator=generator(0, "gradient mask", update)) >= 0.5
        zero = {layer for layer in range(12 - update, 12) if not any(gradients[n].any() for n in model.blocks[layer])}
        assert zero == {layer for layer in range(12 - update, 12) if not kept[layer]}
    assert {"kept", "distance", "penalty"} <= journal.lines[-1].keys()


@pytest.mark.parametrize("name", ["anneal_graddrop", "graddrop_epoch_toggle"])
def test_a_run_that_goes_on_inside_an_epoch_or_at_its_border_is_as_if_it_had_not_stopped(
    name: str, tmp_path: Path
) -> None:
    typed = [f"mask={name}", "train.eval_every=2", "checkpoint.every=1", "data_size=1k", "data_size.examples=24"]
    whole, model, journal = training(6, schedule="std", typed=typed)
    journal.save = lambda checkpoint: checkpoint.write(tmp_path / str(checkpoint.progress.update))  # type: ignore[method-assign]
    whole.run()
    for update in (2, 3):
        rest, other, resumed = training(6, schedule="std", typed=typed)
        checkpoint = Checkpoint.read(tmp_path / str(update))
        rest.progress = checkpoint.progress
        rest.restore(checkpoint)
        rest.run()
        assert all(torch.equal(tensor, other.state()[n]) for n, tensor in model.state().items())
        after = [line for line in journal.lines if line["kind"] != "stage" and line["update"] > update]  # type: ignore[operator]
        assert resumed.lines == after


RUN = ("task=copa", "schedule=std", "train.updates=12", "train.eval_every=4", "train.batch_size=8", "data_size=1k",
       "data_size.examples=48", "checkpoint.every=5", "evaluate.languages=[en]")  # fmt: skip


def killed_and_started_again(tmp_path: Path, update: int, *choices: str) -> None:
    """Six updates are an epoch."""
    whole, killed = Cli(tmp_path / "whole"), Cli(tmp_path / "killed")
    whole(*RUN, *choices)
    process = killed.start(*RUN, *choices)
    wait_for_update(process, killed, update)
    process.kill()
    process.communicate()
    killed(*RUN, *choices)
    (folder, expected), (resumed, record) = only(whole), only(killed)
    assert outcome(record) == outcome(expected)
    assert steps(resumed) == steps(folder)


def test_a_killed_run_with_a_mask_and_a_schedule_that_closes_layers_resumes_exactly(tmp_path: Path) -> None:
    killed_and_started_again(tmp_path, 8, "mask=anneal_graddrop", "schedule=gradfreeze_tog_topdown")


@pytest.mark.long
@pytest.mark.parametrize("update", [3, 6, 8], ids=["inside the first epoch", "at its border", "inside the second"])
@pytest.mark.parametrize("choice", [*(f"mask={name}" for name in NAMES), "schedule=gradfreeze_tog_topdown"])
def test_every_mask_and_the_toggle_resume_exactly(tmp_path: Path, choice: str, update: int) -> None:
    killed_and_started_again(tmp_path, update, choice)


@pytest.mark.long
def test_graddrop_beside_its_learning_rate_on_the_miniature_world(cli: Cli) -> None:
    """Told, not judged (`-rP` shows it): nobody knows which of the three is the best."""
    cli("run", "graddrop/rate-micro", module="reproduce")
    print(cli("table", "graddrop/rate-micro", module="reproduce").stdout)
    configs = [record["config"] for record in cli.records().values()]
    told = Counter((config.get("mask", {}).get("name"), config["train"]["lr"]) for config in configs)
    assert told == {(None, 0.001): 4, (None, 0.000894): 4, ("graddrop", 0.001): 4}
    assert {config["train"]["dropout"] for config in configs} == {0.0}


# --- As a choice


@pytest.mark.parametrize("adapter", ["madx", "lora", "full", "bitfit", "houlsby"])
@pytest.mark.parametrize("name", NAMES)
def test_every_mask_goes_with_every_tuning_that_has_layers(name: str, adapter: str) -> None:
    config = compose(["task=mnli", "schedule=std", f"adapter={adapter}", f"mask={name}"])
    assert name in config.label
    assert MASKS[config.mask.name] is type(config.mask)
    assert config.active()["mask"]["parameters"] == "layers"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["adapter=prompts", "mask=graddrop"], "adapter=prompts trains nothing there: type mask=none"),
        (["adapter=madx", "mask=graddrop", "mask.parameters=kvu"], "type mask.parameters=layers, or adapter=full"),
        (
            ["mask=anneal_graddrop", "train.updates=null", "train.epochs=1"],
            "annealed from epoch to epoch, and training has one",
        ),
        (["mask=anneal_layer_graddrop", "mask.anneal=endpoints", "train.updates=5"], r"type train\.epochs=2 or more"),
        (["mask=graddrop", "mask.p=1"], "less than 1"),
        (["mask=graddrop", "+mask.toggle=true"], "mask=graddrop has no such field"),
    ],
)
def test_what_could_not_work_is_refused(typed: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as error:
        compose(["task=mnli", "schedule=std", *typed])
    assert "\n" not in str(error.value)
