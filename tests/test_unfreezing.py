"""Schedules against openings written by hand, the unfreezer, and the callback in a plain transformers Trainer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from fun.inputs import compose
from fun.preview import preview
from fun.unfreezing import (
    SCHEDULES,
    FisherUnfreezing,
    FixedOrder,
    GradFreeze,
    GradualUnfreezing,
    LinearProbeThenFineTune,
    Moment,
    RandomUnfreezing,
    ReverseUnfreezing,
    Schedule,
    Stage,
    Standard,
)
from fun.unfreezing.unfreezer import Unfreezer
from tests.test_training import training
from tests.toys import Toggle

PAPER = {"delay": 0, "offset": 1}
OFFICIAL = {"delay": 0, "offset": 0}
OFFICIAL_GU = {"delay": 1, "offset": 0}

# "update:layers"; a layer ? is chosen while training. Written by hand from the table in the design.
BY_HAND: list[tuple[str, Schedule, int, str]] = [
    ("std", Standard(), 4, "1:3,2,1,0"),
    ("gu paper k=3", GradualUnfreezing(3, **PAPER), 12, "1:11 4:10 7:9 10:8 13:7 16:6 19:5 22:4 25:3 28:2 31:1 34:0"),
    ("gu official k=3", GradualUnfreezing(3, **OFFICIAL_GU), 12, "1:11 6:10 9:9 12:8 15:7 18:6 21:5 24:4 27:3 30:2 33:1 36:0"),
    ("gu paper k=1", GradualUnfreezing(1, **PAPER), 12, "1:11 2:10 3:9 4:8 5:7 6:6 7:5 8:4 9:3 10:2 11:1 12:0"),
    ("gu official k=1", GradualUnfreezing(1, **OFFICIAL_GU), 12, "1:11 2:10 3:9 4:8 5:7 6:6 7:5 8:4 9:3 10:2 11:1 12:0"),
    ("gu paper k=3 L=4", GradualUnfreezing(3, **PAPER), 4, "1:3 4:2 7:1 10:0"),
    ("gu official k=3 L=4", GradualUnfreezing(3, **OFFICIAL_GU), 4, "1:3 6:2 9:1 12:0"),
    ("gu paper k=1 L=4", GradualUnfreezing(1, **PAPER), 4, "1:3 2:2 3:1 4:0"),
    ("gu official k=1 L=4", GradualUnfreezing(1, **OFFICIAL_GU), 4, "1:3 2:2 3:1 4:0"),
    ("rev paper k=3", ReverseUnfreezing(3, **PAPER), 12, "1:11 4:0 7:1 10:2 13:3 16:4 19:5 22:6 25:7 28:8 31:9 34:10"),
    ("rev official k=3", ReverseUnfreezing(3, **OFFICIAL), 12, "1:11 3:0 6:1 9:2 12:3 15:4 18:5 21:6 24:7 27:8 30:9 33:10"),
    ("rev official k=1", ReverseUnfreezing(1, **OFFICIAL), 12, "1:11,0 2:1 3:2 4:3 5:4 6:5 7:6 8:7 9:8 10:9 11:10"),
    ("rev paper k=1 L=4", ReverseUnfreezing(1, **PAPER), 4, "1:3 2:0 3:1 4:2"),
    ("rev official k=3 L=4", ReverseUnfreezing(3, **OFFICIAL), 4, "1:3 3:0 6:1 9:2"),
    ("rev select k=3 L=4", ReverseUnfreezing(3, **PAPER, first="select"), 4, "1:0 4:1 7:2 10:3"),
    ("rand paper k=3 L=4", RandomUnfreezing(3, **PAPER), 4, "1:3 4:? 7:? 10:?"),
    ("rand official k=3 L=4", RandomUnfreezing(3, **OFFICIAL), 4, "1:3 3:? 6:? 9:?"),
    ("fun paper k=3", FisherUnfreezing(3, **PAPER), 12, "1:11 4:? 7:? 10:? 13:? 16:? 19:? 22:? 25:? 28:? 31:? 34:?"),
    ("fun official k=3", FisherUnfreezing(3, **OFFICIAL), 12, "1:11 3:? 6:? 9:? 12:? 15:? 18:? 21:? 24:? 27:? 30:? 33:?"),
    ("fun official k=1 L=4", FisherUnfreezing(1, **OFFICIAL), 4, "1:3 2:? 3:?"),
    ("fun select k=3 L=4", FisherUnfreezing(3, **PAPER, first="select"), 4, "1:? 4:? 7:? 10:?"),
    ("fixed paper k=3 L=4", FixedOrder(3, **PAPER, order=(1, 0, 2)), 4, "1:3 4:1 7:0 10:2"),
    ("fixed official k=1 L=4", FixedOrder(1, **OFFICIAL, order=(1, 0, 2)), 4, "1:3,1 2:0 3:2"),
    ("lpft paper k=3 L=4", LinearProbeThenFineTune(3, 1), 4, "4:3,2,1,0"),
    ("lpft official k=3 L=4", LinearProbeThenFineTune(3, 0), 4, "3:3,2,1,0"),
    ("lpft paper k=1 L=4", LinearProbeThenFineTune(1, 1), 4, "2:3,2,1,0"),
    ("lpft official k=1 L=4", LinearProbeThenFineTune(1, 0), 4, "1:3,2,1,0"),
]  # fmt: skip


def parsed(text: str) -> list[tuple[int, tuple[int, ...]]]:
    changes = []
    for item in text.split():
        update, layers = item.split(":")
        changes.append((int(update), () if layers == "?" else tuple(map(int, layers.split(",")))))
    return changes


def openings(history: Sequence[Stage]) -> list[tuple[int, tuple[int, ...]]]:
    """Update -> what newly opens there, of a history that closes nothing."""
    newly, before = [], frozenset[int]()
    for stage in history:
        assert stage.open >= before
        if stage.open > before:
            newly.append((stage.update, tuple(sorted(stage.open - before, reverse=True))))
        before = stage.open
    return newly


def blocks(layers: int) -> dict[int, dict[str, nn.Parameter]]:
    return {layer: {f"w{layer}": nn.Parameter(torch.zeros(2))} for layer in range(layers)}


@pytest.mark.parametrize(("name", "schedule", "layers", "expected"), BY_HAND, ids=[case[0] for case in BY_HAND])
def test_planned_and_applied_openings_are_those_written_by_hand(
    name: str, schedule: Schedule, layers: int, expected: str
) -> None:
    by_hand = parsed(expected)
    planned = schedule.planned(layers, 40, per_epoch=7)
    assert [(change.update, change.opened, change.closed) for change in planned] == [(*one, ()) for one in by_hand]

    unfreezer = Unfreezer(schedule, blocks(layers), seed=1, scorer=lambda update: {i: i % 3 for i in range(layers)})
    for update in range(1, 41):
        unfreezer.before_update(update, 0)
        flags = {i for i, block in unfreezer.blocks.items() for p in block.values() if p.requires_grad}
        assert flags == unfreezer.open
    newly = openings(unfreezer.history)
    assert [update for update, _ in newly] == [update for update, _ in by_hand]
    for (_, opened), (_, known) in zip(newly, by_hand, strict=True):
        assert set(known) <= set(opened)
    assert sorted(layer for _, opened in newly for layer in opened) == list(range(layers))
    assert unfreezer.history[0].update == 1


def test_fun_takes_the_largest_score_among_closed_layers_and_the_higher_layer_on_ties() -> None:
    scores = {4: {0: 5.0, 1: 5.0, 2: 1.0, 3: 99.0}, 7: {0: 0.1, 1: 99.0, 2: 0.2, 3: 99.0}}
    asked: list[int] = []

    def scorer(update: int) -> dict[int, float]:
        asked.append(update)
        return scores[update]

    unfreezer = Unfreezer(FisherUnfreezing(3), blocks(4), scorer=scorer)
    for update in range(1, 12):
        unfreezer.before_update(update, 0)
    assert openings(unfreezer.history) == [(1, (3,)), (4, (1,)), (7, (2,)), (10, (0,))]
    assert asked == [4, 7]  # nothing to choose at 10, when one layer is left
    assert [o.scores for o in unfreezer.history] == [{}, scores[4], scores[7], {}]


def test_random_order_depends_on_the_seed_alone() -> None:
    def order(seed: int) -> list[int]:
        unfreezer = Unfreezer(RandomUnfreezing(2), blocks(12), seed=seed)
        for update in range(1, 40):
            torch.rand(update)  # whatever else draws random numbers
            unfreezer.before_update(update, 0)
        return [layer for _, opened in openings(unfreezer.history) for layer in opened]

    assert order(0) == order(0)
    assert len({tuple(order(seed)) for seed in range(8)}) == 8


@pytest.mark.parametrize("name", ["gu", "fun", "rand", "lpft"])
def test_resuming_at_any_update_gives_the_same_flags(name: str) -> None:
    schedule = SCHEDULES[name](k=2)  # type: ignore[call-arg]
    whole = Unfreezer(schedule, blocks(4), seed=3, scorer=lambda update: {i: -i * update % 5 for i in range(4)})
    for stop in range(1, 12):
        whole.before_update(stop, 0)
        resumed = Unfreezer(schedule, blocks(4), seed=3, scorer=whole.scorer)
        resumed.restore(map(Stage.from_json, json.loads(json.dumps([s.to_json() for s in whole.history]))))
        assert resumed.open == whole.open
        assert [[p.requires_grad for p in b.values()] for b in resumed.blocks.values()] == [
            [p.requires_grad for p in b.values()] for b in whole.blocks.values()
        ]


def test_a_schedule_may_close_layers_and_open_them_again() -> None:
    unfreezer = Unfreezer(Toggle(), blocks(3))
    for update in range(1, 9):  # epochs of two updates
        for block in unfreezer.blocks.values():
            for parameter in block.values():
                parameter.grad = torch.ones(2) if parameter.requires_grad else None
        unfreezer.before_update(update, (update - 1) // 2)
        open_now = {2 - (update - 1) // 2 % 3}
        assert unfreezer.open == open_now
        closed = [p for i, b in unfreezer.blocks.items() for p in b.values() if i not in open_now]
        assert all(not p.requires_grad and p.grad is None for p in closed)
    assert unfreezer.history == [Stage(n, frozenset({layer})) for n, layer in [(1, 2), (3, 1), (5, 0), (7, 2)]]
    assert Moment(9, 4, 3, 0, tuple(unfreezer.history)).opened == {0, 1, 2}
    planned = [(change.update, change.opened, change.closed) for change in Toggle().planned(3, 8, per_epoch=2)]
    assert planned == [(1, (2,), ()), (3, (1,), (2,)), (5, (0,), (1,)), (7, (2,), (0,))]


TOP_DOWN, BOTTOM_UP = (
    "23-22 21-20 19-18 17-16 15-14 13-12 11-10 9-8 7-6 5-4 3-2 1-0",
    "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15 16-17 18-19 20-21 22-23",
)


@pytest.mark.parametrize(("direction", "by_hand"), [("top_down", TOP_DOWN), ("bottom_up", BOTTOM_UP)])
@pytest.mark.parametrize("epochs", [10, 12, 20])
def test_two_layers_more_in_every_epoch(direction: Literal["top_down", "bottom_up"], by_hand: str, epochs: int) -> None:
    groups = [frozenset(map(int, pair.split("-"))) for pair in by_hand.split()]
    grown, toggled = (GradFreeze(2, direction, toggle) for toggle in (False, True))
    for epoch in range(epochs):
        moment = Moment(7 * epoch + 5, epoch, 24, 0)
        assert grown.open_layers(moment) == frozenset().union(*groups[: epoch + 1])
        assert toggled.open_layers(moment) == groups[min(epoch, 11)]  # it stays at the last
    planned = grown.planned(24, 7 * epochs, per_epoch=7)
    begun = groups[: min(epochs, 12)]
    assert [(c.update, set(c.opened), c.closed) for c in planned] == [
        (7 * e + 1, set(g), ()) for e, g in enumerate(begun)
    ]
    planned = toggled.planned(24, 7 * epochs - 3, per_epoch=7)
    assert [(c.update, set(c.opened)) for c in planned] == [(7 * e + 1, set(g)) for e, g in enumerate(begun)]
    assert [set(c.closed) for c in planned] == [set(), *map(set, begun[:-1])]
    uneven = [GradFreeze(5, direction, True).open_layers(Moment(1, epoch, 12, 0)) for epoch in range(5)]
    assert list(map(len, uneven)) == [5, 5, 2, 2, 2]
    assert len(uneven[0] | uneven[1] | uneven[2]) == 12


@pytest.mark.parametrize("toggle", [False, True])
def test_closed_layers_and_embeddings_stay_as_they_are_and_so_does_their_adam_state(toggle: bool) -> None:
    """Six updates, three to an epoch; embeddings are layer 0's."""
    typed = ["adapter=full", "adapter.embeddings=layer0", "schedule.layers_per_epoch=7", "train.eval_every=3"]
    choice = "gradfreeze_tog_topdown" if toggle else "gradfreeze_topdown"
    loop, model, journal = training(6, schedule=choice, typed=typed)
    start, states = model.state(), []

    def now() -> dict[str, float]:
        moments = {n: loop.optimizer.state[p].get("exp_avg") for n, p in model.parameters().items()}
        states.append((model.state(), {n: m.clone() for n, m in moments.items() if m is not None}))
        return {"accuracy": float(len(states))}

    loop.validate = now
    loop.run()
    (first, began), (second, went_on) = states
    above = {name for layer in range(5, 12) for name in model.blocks[layer]}
    below = {name for layer in range(5) for name in model.blocks[layer]}
    assert "bert.embeddings.word_embeddings.weight" in below
    assert all(torch.equal(first[name], start[name]) for name in below)
    assert not below & began.keys()
    assert not any(torch.equal(second[name], start[name]) for name in below if name.endswith(".weight"))
    for name in above:
        assert torch.equal(second[name], first[name]) == toggle or not name.endswith(".weight")
        assert torch.equal(went_on[name], began[name]) == toggle or not name.endswith(".weight")
    stages = [line for line in journal.lines if line["kind"] == "stage"]
    assert [(line["update"], line["open"]) for line in stages] == [
        (1, [5, 6, 7, 8, 9, 10, 11]),
        (4, [0, 1, 2, 3, 4] if toggle else list(range(12))),
    ]


@pytest.mark.parametrize("choice", ["gradfreeze_topdown", "gradfreeze_bottomup", "gradfreeze_tog_topdown"])
def test_a_plan_by_epochs_is_right_by_epoch(choice: str) -> None:
    """96 examples are three updates of 32; 10 updates begin a fourth epoch."""
    typed = ["task=mnli", "data_size=1k", "data_size.examples=96", "train.batch_size=32", "train.updates=10"]
    shown = preview(compose([*typed, f"schedule={choice}"]))["unfreezing"]
    pairs = (
        [[2 * n + 1, 2 * n] for n in range(4)]
        if choice == "gradfreeze_bottomup"
        else [[11, 10], [9, 8], [7, 6], [5, 4]]
    )
    assert [(change["update"], change["layers"]) for change in shown] == list(zip((1, 4, 7, 10), pairs, strict=True))
    assert [change.get("closed") for change in shown] == [None, *(pairs[:3] if "tog" in choice else [None] * 3)]
    assert [change["epoch"] for change in shown] == [1, 2, 3, 4]
    # Windows are counted later: 96 questions have three updates or more.
    squad = ["task=squad", *typed[1:-1], "train.updates=null", "train.epochs=2"]
    shown = preview(compose([*squad, f"schedule={choice}"]))["unfreezing"]
    assert [(change["epoch"], change["update"], change["layers"]) for change in shown] == [
        (1, 1, pairs[0]),
        (2, {"at_least": 4}, pairs[1]),
    ]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GradFreeze(0, "top_down"), "schedule.layers_per_epoch is 0; expected a whole number of at least 1"),
        (lambda: GradualUnfreezing(0), "schedule.k is 0; expected a whole number of at least 1"),
        (lambda: GradualUnfreezing(True), "schedule.k is True"),
        (lambda: FisherUnfreezing(3, first="bottom"), "schedule.first is 'bottom'; expected top or select"),
        (lambda: FixedOrder(3, order=(2, 2, 0)).planned(4, 50, 10), "expected a permutation of [0, 1, 2]"),
        (lambda: LinearProbeThenFineTune(-1), "schedule.k is -1"),
    ],
)
def test_bad_schedules_say_what_was_expected(build, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="expected") as error:
        build()
    assert message in str(error.value)


class Layers(nn.Module):
    """Two numbered layers and a head, with the forward signature that Trainer expects."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.head = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return {"loss": ((self.head(x).squeeze(-1) - labels) ** 2).mean()}


def test_callback_unfreezes_in_a_plain_trainer_and_resumes(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    from fun.unfreezing.callback import UnfreezingCallback

    data = [{"x": torch.tensor([i / 8, -i / 8]), "labels": torch.tensor(i / 8)} for i in range(8)]

    def train(output: Path, *, resume: bool) -> tuple[list[Stage], Layers, nn.Module]:
        torch.manual_seed(0)
        model = Layers()
        start = Layers()
        start.load_state_dict(model.state_dict())
        callback = UnfreezingCallback(
            GradualUnfreezing(k=3),
            {i: dict(layer.named_parameters()) for i, layer in enumerate(model.layers)},
        )
        arguments = TrainingArguments(
            str(output), max_steps=6, per_device_train_batch_size=2, save_steps=2, report_to=[], seed=0,
            use_cpu=True, disable_tqdm=True, learning_rate=0.01,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[callback])
        trainer.train(resume_from_checkpoint=str(output / "checkpoint-2") if resume else None)
        return callback.history, model, start

    history, model, start = train(tmp_path, resume=False)
    assert history == [Stage(1, frozenset({1})), Stage(4, frozenset({0, 1}))]
    assert not torch.equal(model.layers[0].weight, start.layers[0].weight)  # it opened at update 4

    again, resumed, _ = train(tmp_path, resume=True)
    assert again == history
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))
