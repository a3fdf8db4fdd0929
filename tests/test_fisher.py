"""tr(F): every estimator against loops over single examples, against enumeration, and by hand."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from adapters import AutoAdapterModel, ConfigUnion, IA3Config, LoRAConfig, SeqBnConfig, SeqBnInvConfig
from adapters.composition import Stack
from torch import Tensor, nn
from transformers import BertConfig, DebertaV2Config, XLMRobertaConfig

from fun.errors import RunError
from fun.fisher import Algorithm2, Exact, Official
from fun.fisher.gradients import _outer_norms, undisturbed
from fun.models.blocks import task_blocks
from fun.models.heads import ClassificationHead, Head, MultipleChoiceHead, QAHead, predict

SIZE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
CONFIGS = {
    "bert": lambda: BertConfig(**SIZE),
    "roberta": lambda: XLMRobertaConfig(**SIZE, pad_token_id=1),
    "deberta": lambda: DebertaV2Config(**SIZE, **DEBERTA),
}
LANGUAGE = SeqBnInvConfig(reduction_factor=2)
BOTTLENECK, LORA = SeqBnConfig(reduction_factor=4), LoRAConfig(r=2, alpha=6)
ADAPTERS = {
    "bottleneck": (LANGUAGE, BOTTLENECK),
    "lora": (None, LORA),
    "lora on bottleneck": (LANGUAGE, LORA),
    "lora on lora": (LoRAConfig(r=3), LORA),
}
CLASSIFICATION = ClassificationHead(num_labels=3, layers=1, use_pooler=True)
QA = QAHead(mask_padding=True)
CHOICE = MultipleChoiceHead(layers=2, use_pooler=False)
HEADS = {"classification": CLASSIFICATION, "qa": QA, "multiple choice": CHOICE}
ESTIMATORS = [Algorithm2(), Exact(), Exact(labels="expected"), Official()]


@dataclass
class Batch:
    size: int
    parts: list[dict[str, Tensor]]


def build(head: Head, task=BOTTLENECK, language=LANGUAGE, kind="bert", dtype=torch.float64) -> nn.Module:
    """A tiny random encoder with a random language adapter, task adapter and head: no parameter is zero."""
    torch.manual_seed(0)
    model = AutoAdapterModel.from_config(CONFIGS[kind]())
    if language is not None:
        model.add_adapter("en", config=language)
    model.add_adapter("task", config=task)
    head.add_to(model, "task")
    model.set_active_adapters("task" if language is None else Stack("en", "task"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in (".adapters.", ".loras.", "heads.")):
                parameter.normal_(std=0.4)
    return model.to(dtype).eval()


def examples(head: Head, count: int, seed=1) -> list[dict[str, Tensor]]:
    """Single examples of unequal lengths, longest first; the two choices of an item differ in length too."""
    generator = torch.Generator().manual_seed(seed)
    lengths = sorted(torch.randint(3, 12, (count,), generator=generator).tolist(), reverse=True)
    made = []
    for length in lengths:
        shape = (1, 2, length) if isinstance(head, MultipleChoiceHead) else (1, length)
        mask = torch.ones(shape, dtype=torch.int64)
        if isinstance(head, MultipleChoiceHead):
            mask[:, 1, length - 1 :] = 0
        ids = torch.randint(5, 40, shape, generator=generator) * mask
        made.append({"input_ids": ids, "attention_mask": mask})
    return made


def collate(rows: list[dict[str, Tensor]], extra=0) -> dict[str, Tensor]:
    """One part, padded to its own longest (and `extra` more)."""
    width = max(row["input_ids"].shape[-1] for row in rows) + extra
    return {
        name: torch.cat([nn.functional.pad(row[name], (0, width - row[name].shape[-1])) for row in rows])
        for name in rows[0]
    }


def batch(rows: list[dict[str, Tensor]], *cuts: int) -> Batch:
    """A batch of `rows`, cut into parts before the given positions."""
    bounds = [0, *cuts, len(rows)]
    return Batch(len(rows), [collate(rows[a:b], extra=1) for a, b in itertools.pairwise(bounds)])


def rng(seed=7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- The loop over single examples, written without any of the package's estimator code ---


def log_probabilities(model: nn.Module, example: dict[str, Tensor]) -> list[Tensor]:
    """Start and end over an unpadded window's tokens, or all classes, of one example."""
    outputs = model(**example)
    logits = [outputs.start_logits, outputs.end_logits] if "start_logits" in outputs else [outputs.logits]
    return [part.squeeze(0).log_softmax(0) for part in logits]


def gradient(model: nn.Module, example: dict[str, Tensor], labels: list[int]) -> dict[str, Tensor]:
    model.zero_grad()
    sum(part[label] for part, label in zip(log_probabilities(model, example), labels, strict=True)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def by_block(blocks: dict[int, dict[str, nn.Parameter]], gradients: dict[str, Tensor]) -> dict[int, float]:
    return {i: sum(gradients[name].square().sum().item() for name in block) for i, block in blocks.items()}


def mean(scores: list[dict[int, float]]) -> dict[int, float]:
    return {layer: sum(score[layer] for score in scores) / len(scores) for layer in scores[0]}


def sampled(model: nn.Module, head: Head, rows: list[dict[str, Tensor]], generator: torch.Generator) -> list[list[int]]:
    return [predict(model, head, row).sample(generator)[0].tolist() for row in rows]


def assert_scores(actual: dict[int, float], expected: dict[int, float], rel=1e-9) -> None:
    assert actual == pytest.approx(expected, rel=rel)
    assert min(actual.values()) > 0


def two_batches(head: Head) -> tuple[list[list[dict[str, Tensor]]], list[Batch]]:
    rows = [examples(head, 5, seed=1), examples(head, 4, seed=2)]
    return rows, [batch(rows[0], 2, 3), batch(rows[1])]


# --- Exact ---


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize(("language", "task"), ADAPTERS.values(), ids=ADAPTERS)
def test_exact_is_the_loop_over_single_examples(head, language, task):
    model = build(head, task, language)
    blocks = task_blocks(model, "task")
    rows, batches = two_batches(head)
    generator = rng()
    loop = [
        by_block(blocks, gradient(model, row, labels))
        for group in rows
        for row, labels in zip(group, sampled(model, head, group, generator), strict=True)
    ]
    model.zero_grad()
    assert_scores(Exact().score(model, head, blocks, batches, rng()), mean(loop))


@pytest.mark.parametrize("kind", ["roberta", "deberta"])
@pytest.mark.parametrize("task", [BOTTLENECK, LORA], ids=["bottleneck", "lora"])
def test_exact_on_other_encoders(kind, task):
    head = ClassificationHead(num_labels=3, layers=1, use_pooler=False)
    model = build(head, task, kind=kind)
    blocks = task_blocks(model, "task")
    rows, batches = two_batches(head)
    generator = rng()
    loop = [
        by_block(blocks, gradient(model, row, labels))
        for group in rows
        for row, labels in zip(group, sampled(model, head, group, generator), strict=True)
    ]
    # DeBERTa-v2 has fp32 constants and masks padding by a finite number.
    assert_scores(Exact().score(model, head, blocks, batches, rng()), mean(loop), rel=1e-5)


def test_exact_refuses_a_projection_that_mdeberta_shares_with_its_relative_positions(monkeypatch):
    monkeypatch.setitem(CONFIGS, "deberta", lambda: DebertaV2Config(**SIZE, **DEBERTA, share_att_key=True))
    head = ClassificationHead(num_labels=3, layers=1, use_pooler=False)
    for task in (BOTTLENECK, LORA):
        model = build(head, task, kind="deberta")
        _, batches = two_batches(head)
        blocks = task_blocks(model, "task")
        assert all(score > 0 for score in Algorithm2().score(model, head, blocks, batches, rng()).values())
        if task is BOTTLENECK:
            assert all(score > 0 for score in Exact().score(model, head, blocks, batches, rng()).values())
        else:
            with pytest.raises(RunError, match=r"query_proj.*Type fisher=algorithm2"):
                Exact().score(model, head, blocks, batches, rng())


@pytest.mark.parametrize("head", [CLASSIFICATION, CHOICE], ids=["classification", "multiple choice"])
def test_expected_labels_sum_over_all_classes(head):
    model = build(head)
    blocks = task_blocks(model, "task")
    rows, batches = two_batches(head)
    loop = []
    for row in itertools.chain(*rows):
        (log_probability,) = log_probabilities(model, row)
        terms = [by_block(blocks, gradient(model, row, [label])) for label in range(len(log_probability))]
        weights = log_probability.exp().tolist()
        loop.append({layer: sum(w * t[layer] for w, t in zip(weights, terms, strict=True)) for layer in blocks})
    assert_scores(Exact(labels="expected").score(model, head, blocks, batches, rng()), mean(loop))


def test_expected_labels_of_a_span_are_refused():
    model = build(QA)
    with pytest.raises(RunError, match=r"fisher\.labels=sampled"):
        Exact(labels="expected").score(model, QA, task_blocks(model, "task"), [batch(examples(QA, 2))], rng())


@pytest.mark.parametrize("shape", [(3, 2, 8, 16), (3, 9, 4, 5), (2, 1, 1, 1)], ids=["Gram", "direct", "one"])
def test_both_forms_of_the_outer_norm(shape):
    size, tokens, m, n = shape
    g = torch.randn(size, tokens, m, dtype=torch.float64, generator=rng(1))
    a = torch.randn(size, tokens, n, dtype=torch.float64, generator=rng(2))
    expected = torch.stack([sum(torch.outer(*pair) for pair in zip(g[b], a[b], strict=True)) for b in range(size)])
    torch.testing.assert_close(_outer_norms(g, a), expected.square().sum(dim=(1, 2)))


def test_lora_whose_b_is_zero_gives_a_no_value():
    model = build(CLASSIFICATION, LORA, None)
    blocks = task_blocks(model, "task")
    with torch.no_grad():
        for name, parameter in blocks[1].items():
            if name.endswith("lora_B"):
                parameter.zero_()
    only_a, only_b = ({1: {n: p for n, p in blocks[1].items() if n.endswith(end)}} for end in ("lora_A", "lora_B"))
    batches = [batch(examples(CLASSIFICATION, 4))]
    for estimator in (Exact(), Algorithm2()):
        assert estimator.score(model, CLASSIFICATION, only_a, batches, rng()) == {1: 0.0}
        assert estimator.score(model, CLASSIFICATION, only_b, batches, rng())[1] > 0


@pytest.mark.parametrize("config", [IA3Config(), LoRAConfig(r=2, use_gating=True), LoRAConfig(r=2, use_dora=True)])
def test_exact_refuses_what_it_cannot_read(config):
    model = build(CLASSIFICATION, config, None, dtype=torch.float32)
    blocks = task_blocks(model, "task")
    batches = [batch(examples(CLASSIFICATION, 2))]
    with pytest.raises(RunError, match="fisher=algorithm2"):
        Exact().score(model, CLASSIFICATION, blocks, batches, rng())
    assert min(Algorithm2().score(model, CLASSIFICATION, blocks, batches, rng()).values()) > 0


def test_exact_covers_several_modules_per_layer():
    head, task = CLASSIFICATION, ConfigUnion(SeqBnConfig(reduction_factor=4), LoRAConfig(r=2))
    model = build(head, task, None)
    blocks = task_blocks(model, "task")
    assert [len(block) for block in blocks.values()] == [8, 8]
    rows = examples(head, 3)
    labels = sampled(model, head, rows, rng())
    loop = [by_block(blocks, gradient(model, row, label)) for row, label in zip(rows, labels, strict=True)]
    assert_scores(Exact().score(model, head, blocks, [batch(rows)], rng()), mean(loop))


# --- Algorithm 2 and the authors' code ---


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("task", [BOTTLENECK, LORA], ids=["bottleneck", "lora"])
@pytest.mark.parametrize("estimator", [Algorithm2(), Official()], ids=["algorithm2", "official"])
def test_squared_mean_gradient_over_the_batch_size(estimator, head, task):
    model = build(head, task)
    blocks = task_blocks(model, "task")
    rows, batches = two_batches(head)
    generator = rng()
    expected = []
    for group in rows:
        if isinstance(estimator, Official):
            labels = [[int(part.argmax()) for part in log_probabilities(model, row)] for row in group]
        else:
            labels = sampled(model, head, group, generator)
        terms = [gradient(model, row, label) for row, label in zip(group, labels, strict=True)]
        rows_of_mean = len(group) * (2 if isinstance(estimator, Official) and head is QA else 1)
        total = {name: sum(term[name] for term in terms) / rows_of_mean for name in terms[0]}
        expected.append({layer: value / len(group) for layer, value in by_block(blocks, total).items()})
    assert_scores(estimator.score(model, head, blocks, batches, rng()), mean(expected))


def test_algorithm2_does_not_depend_on_the_cut_into_parts():
    model = build(CLASSIFICATION)
    blocks = task_blocks(model, "task")
    rows = examples(CLASSIFICATION, 6)
    whole, halves, singles = (
        Algorithm2().score(model, CLASSIFICATION, blocks, [batch(rows, *cuts)], rng())
        for cuts in ([], [3], [1, 2, 3, 4, 5])
    )
    assert_scores(halves, whole)
    assert_scores(singles, whole)


def test_algorithm2_has_expectation_trace_over_batch_size_squared():
    model = build(CLASSIFICATION)
    blocks = task_blocks(model, "task")
    pair = batch(examples(CLASSIFICATION, 2))
    with torch.no_grad():
        predictive = predict(model, CLASSIFICATION, pair.parts[0])
    probability = predictive.log_p[:, 0].exp()
    seeds: dict[tuple[int, int], int] = {}
    for seed in range(2000):
        seeds.setdefault(tuple(predictive.sample(rng(seed)).flatten().tolist()), seed)
    assert len(seeds) == 9
    expectation = dict.fromkeys(blocks, 0.0)
    for (first, second), seed in seeds.items():
        scores = Algorithm2().score(model, CLASSIFICATION, blocks, [pair], rng(seed))
        for layer, score in scores.items():
            expectation[layer] += (probability[0, first] * probability[1, second]).item() * score
    trace = Exact(labels="expected").score(model, CLASSIFICATION, blocks, [pair], rng())
    assert_scores(expectation, {layer: value / 2**2 for layer, value in trace.items()})


class Logistic(nn.Module):
    """logits = (w x, 0) from a number x per example, for each of the given names of logits."""

    def __init__(self, w: float, *names: str) -> None:
        super().__init__()
        self.w, self.names = nn.Parameter(torch.tensor(w, dtype=torch.float64)), names

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        logits = torch.stack([self.w * input_ids, torch.zeros_like(input_ids)], dim=1)
        return SimpleNamespace(**dict.fromkeys(self.names, logits))


def numbers(*x: float) -> Batch:
    mask = torch.ones(len(x), 2, dtype=torch.int64)
    return Batch(len(x), [{"input_ids": torch.tensor(x, dtype=torch.float64), "attention_mask": mask}])


def test_algorithm2_by_hand():
    # At w = 0 both classes have probability 1/2, and d/dw of -log p is ±x/2: its square knows no label.
    model = Logistic(0.0, "logits")
    head, blocks = ClassificationHead(num_labels=2, layers=1, use_pooler=False), {0: {"w": model.w}}
    # x = 2 alone: 1² / 1. Beside one x = 0 the mean is ±1/2: (1/2)² / 2. Beside four: (1/5)² / 5.
    assert Algorithm2().score(model, head, blocks, [numbers(2.0)], rng()) == {0: pytest.approx(1)}
    assert Algorithm2().score(model, head, blocks, [numbers(2.0, 0.0)], rng()) == {0: pytest.approx(1 / 8)}
    both = [numbers(2.0), numbers(2.0, 0.0, 0.0, 0.0, 0.0)]
    assert Algorithm2().score(model, head, blocks, both, rng()) == {0: pytest.approx((1 + 1 / 125) / 2)}


def test_official_by_hand():
    # w = log 3, x = 1: p = (3/4, 1/4), the mode is class 0, d/dw of -log p is -1/4 in every row.
    w = math.log(3)
    choice = Logistic(w, "logits")
    scores = Official().score(
        choice,
        ClassificationHead(num_labels=2, layers=1, use_pooler=False),
        {0: {"w": choice.w}},
        [numbers(1, 1)],
        rng(),
    )
    assert scores == {0: pytest.approx((1 / 4) ** 2 / 2)}
    # Start and end rows are averaged, so a window counts no more than a class; Algorithm 2 would add them.
    span = Logistic(w, "start_logits", "end_logits")
    blocks, windows = {0: {"w": span.w}}, [numbers(1, 1)]
    assert Official().score(span, QA, blocks, windows, rng()) == {0: pytest.approx((1 / 4) ** 2 / 2)}


# --- Any estimator ---


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], bool]:
    """A check that model, optimizer and global random streams are as they are now."""

    def modes() -> list[bool]:
        return [module.training for module in model.modules()]

    def hooks() -> list[int]:
        return [len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()]

    def adam() -> list[Tensor]:
        return [value.clone() for entry in optimizer.state.values() for value in entry.values()]

    parameters = list(model.parameters())
    flags = [p.requires_grad for p in parameters]
    weights = [p.detach().clone() for p in parameters]
    gradients = [(p.grad, None if p.grad is None else p.grad.clone()) for p in parameters]
    before = modes(), hooks(), adam(), torch.get_rng_state()

    def unchanged() -> bool:
        return (
            before[:2] == (modes(), hooks())
            and all(map(torch.equal, before[2], adam()))
            and torch.equal(before[3], torch.get_rng_state())
            and flags == [p.requires_grad for p in parameters]
            and all(map(torch.equal, weights, parameters))
            and all(p.grad is grad for p, (grad, _) in zip(parameters, gradients, strict=True))
            and all(grad is None or torch.equal(grad, copy) for grad, copy in gradients)
        )

    return unchanged


def in_training() -> tuple[nn.Module, torch.optim.Optimizer, dict[int, dict[str, nn.Parameter]]]:
    """A model amid training: dropout on but for one module, layer 0 closed, gradients there or None."""
    model = build(CLASSIFICATION)
    model.train_adapter("task")
    blocks = task_blocks(model, "task")
    for parameter in blocks[0].values():
        parameter.requires_grad_(False)
    model.train()
    model.bert.pooler.eval()
    optimizer = torch.optim.AdamW(model.parameters())
    predictive = predict(model, CLASSIFICATION, collate(examples(CLASSIFICATION, 3)))
    predictive.nll(torch.zeros(3, 1, dtype=torch.int64)).mean().backward()
    optimizer.step()
    assert next(iter(blocks[1].values())).grad is not None
    assert next(iter(blocks[0].values())).grad is None
    return model, optimizer, blocks


def shuffled_globally(batches: list[Batch]) -> Iterator[Batch]:
    """Batches from a loader that draws from torch's global stream."""
    for index in torch.randperm(len(batches)).tolist():
        yield batches[index]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_scoring_leaves_everything_as_found(estimator):
    model, optimizer, blocks = in_training()
    batches = two_batches(CLASSIFICATION)[1]
    unchanged = state(model, optimizer)
    with torch.no_grad():
        scores = estimator.score(model, CLASSIFICATION, blocks, shuffled_globally(batches), rng())
    assert unchanged()
    assert set(scores) == {0, 1}
    assert min(scores.values()) > 0


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_a_failing_pass_leaves_everything_as_found(estimator):
    model, optimizer, blocks = in_training()
    good, bad = two_batches(CLASSIFICATION)[1]
    bad.parts[0]["input_ids"][0, 0] = SIZE["vocab_size"]
    unchanged = state(model, optimizer)
    with pytest.raises(IndexError):
        estimator.score(model, CLASSIFICATION, blocks, [good, bad], rng())
    assert unchanged()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_scores_depend_on_weights_and_labels_not_on_the_state_of_training(estimator):
    model, _, blocks = in_training()
    batches = two_batches(CLASSIFICATION)[1]
    scores = estimator.score(model, CLASSIFICATION, blocks, batches, rng())
    model.eval().requires_grad_(True)
    model.zero_grad()
    torch.manual_seed(99)
    assert estimator.score(model, CLASSIFICATION, blocks, batches, rng()) == scores


@pytest.mark.parametrize("estimator", [Algorithm2(), Exact()], ids=repr)
def test_sampled_labels_come_from_the_generator_alone(estimator):
    model = build(CLASSIFICATION)
    blocks, batches = task_blocks(model, "task"), two_batches(CLASSIFICATION)[1]
    scores = [estimator.score(model, CLASSIFICATION, blocks, batches, rng(seed)) for seed in (1, 1, 2)]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]


@pytest.mark.parametrize("estimator", [Algorithm2(2), Exact(2), Official(2)], ids=repr)
def test_scoring_stops_after_its_batches_and_takes_fewer_where_there_are_fewer(estimator):
    model = build(CLASSIFICATION)
    blocks = task_blocks(model, "task")
    batches = [batch(examples(CLASSIFICATION, 3, seed)) for seed in range(3)]

    def score(source):
        return estimator.score(model, CLASSIFICATION, blocks, source, rng())

    source = iter(batches)
    assert score(source) == score(batches[:2])
    assert next(source) is batches[2]
    assert min(score(batches[:1]).values()) > 0


def test_batches_by_default():
    assert [estimator.batches for estimator in (Algorithm2(), Exact(), Official())] == [40, 40, 41]


@pytest.mark.parametrize("task", [BOTTLENECK, LORA], ids=["bottleneck", "lora"])
def test_scoring_in_mixed_precision_stays_close(task):
    model = build(CLASSIFICATION, task, dtype=torch.float32)
    blocks, batches = task_blocks(model, "task"), two_batches(CLASSIFICATION)[1]
    expected = Exact(labels="expected").score(model, CLASSIFICATION, blocks, batches, rng())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = Exact(labels="expected").score(model, CLASSIFICATION, blocks, batches, rng())
    assert scores != expected
    assert_scores(scores, expected, rel=0.05)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_no_batch_is_an_error(estimator):
    model = build(CLASSIFICATION)
    with pytest.raises(RunError, match="at least one example"):
        estimator.score(model, CLASSIFICATION, task_blocks(model, "task"), [], rng())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_a_value_that_is_not_finite_names_its_layer(estimator):
    model = build(CLASSIFICATION)
    blocks = task_blocks(model, "task")
    with torch.no_grad():
        next(iter(blocks[1].values())).fill_(torch.nan)
    with pytest.raises(RunError, match=r"layer 1 is nan.*train\.lr"):
        estimator.score(model, CLASSIFICATION, {1: blocks[1]}, [batch(examples(CLASSIFICATION, 2))], rng())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_an_adapter_that_is_not_active_is_an_error(estimator):
    model = build(CLASSIFICATION)
    model.add_adapter("other", config=SeqBnConfig())
    with pytest.raises(RunError, match=r"never reached bert\.encoder\.layer\.0.*set_active_adapters"):
        estimator.score(model, CLASSIFICATION, task_blocks(model, "other"), [batch(examples(CLASSIFICATION, 2))], rng())


def test_undisturbed_lends_a_model_ready_to_differentiate():
    model, optimizer, blocks = in_training()
    closed = list(blocks[0].values())
    unchanged = state(model, optimizer)
    with torch.no_grad(), undisturbed(model, closed):
        assert not any(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert all(parameter.requires_grad for parameter in closed)
        predict(model, CLASSIFICATION, collate(examples(CLASSIFICATION, 2))).log_p.sum().backward()
        assert closed[0].grad is not None
        torch.rand(3)
    assert unchanged()
