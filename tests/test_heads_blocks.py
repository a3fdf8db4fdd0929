"""Heads: their predictive distribution, and what a plain script reads back. Blocks: what belongs where."""

import math

import numpy as np
import pytest
import torch
from adapters import AutoAdapterModel, LoRAConfig, SeqBnConfig, SeqBnInvConfig
from adapters.composition import Stack
from transformers import BertConfig, DebertaV2Config, XLMRobertaConfig

from fun.errors import RunError
from fun.models.blocks import layer_of, task_blocks
from fun.models.heads import ClassificationHead, MultipleChoiceHead, Predictive, QAHead, _invert, predict
from fun.tasks.base import Feature
from fun.training.batches import Batches

SIZE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
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
HEADS = {
    "qa": QAHead(mask_padding=True),
    "classification": ClassificationHead(num_labels=3, layers=2, use_pooler=False),
    "classification on the pooler": ClassificationHead(num_labels=3, layers=1, use_pooler=True),
    "multiple choice": MultipleChoiceHead(layers=2, use_pooler=False),
}


def encoder(kind="bert"):
    torch.manual_seed(0)
    return AutoAdapterModel.from_config(CONFIGS[kind]())


def with_adapter(head, kind="bert", config=None):
    model = encoder(kind)
    model.add_adapter("task", config=config or SeqBnConfig(reduction_factor=4))
    head.add_to(model, "task")
    model.set_active_adapters("task")
    return model.eval()


def tokens(*shape, lengths=None, seed=1):
    """Token ids in `shape`; row r has lengths[r] tokens, the rest is padding."""
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(5, 40, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.int64)
    for row, length in enumerate(lengths or []):
        mask[row, ..., length:] = 0
    return {"input_ids": input_ids * mask, "attention_mask": mask}


def padded(batch, extra):
    return {name: torch.nn.functional.pad(tensor, (0, extra)) for name, tensor in batch.items()}


# --- Predictive ---


def test_nll_adds_the_factors_of_an_example():
    start = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], dtype=torch.float64).log()
    end = torch.tensor([[0.2, 0.4, 0.4], [0.25, 0.5, 0.25]], dtype=torch.float64).log()
    nll = Predictive(torch.stack((start, end), dim=1)).nll(torch.tensor([[0, 1], [2, 1]]))
    expected = -torch.tensor([0.5 * 0.4, 0.8 * 0.5], dtype=torch.float64).log()
    torch.testing.assert_close(nll, expected)


def test_mode_takes_each_factors_largest():
    start = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log()
    end = torch.tensor([[0.2, 0.5, 0.3], [0.5, 0.25, 0.25]]).log()
    assert Predictive(torch.stack((start, end), dim=1)).mode().tolist() == [[0, 1], [2, 0]]


def test_entries_are_all_classes_with_their_probabilities():
    probability = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]])
    entries = list(Predictive(probability.log().unsqueeze(1)).entries())
    assert [labels.tolist() for labels, _ in entries] == [[[0], [0]], [[1], [1]], [[2], [2]]]
    torch.testing.assert_close(torch.stack([weight for _, weight in entries], dim=1), probability)


def test_entries_of_a_span_name_the_remedy():
    factor = torch.zeros(2, 2, 3)
    with pytest.raises(RunError, match=r"fisher\.labels=sampled"):
        Predictive(factor).entries()


def test_samples_follow_the_distribution():
    probability = torch.tensor([0.0, 0.55, 0.0, 0.3, 0.15, 0.0])
    labels = Predictive(probability.log().expand(20_000, 2, -1)).sample(torch.Generator().manual_seed(0))
    assert labels.shape == (20_000, 2)
    assert labels.dtype == torch.int64
    for column in labels.T:
        frequency = torch.bincount(column, minlength=6) / 20_000
        torch.testing.assert_close(frequency, probability, atol=0.015, rtol=0)
        assert frequency[probability == 0].sum() == 0
    joint = ((labels[:, 0] == 1) & (labels[:, 1] == 1)).float().mean()
    assert joint == pytest.approx(0.55**2, abs=0.015)


def test_labels_of_probability_zero_are_out_of_reach_at_both_ends():
    log_probability = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).log()
    drawn = [_invert(log_probability, torch.tensor([[u]], dtype=torch.float64)).item() for u in (0, 0.5, 1 - 2**-53)]
    assert drawn == [1, 3, 3]


def test_samples_depend_neither_on_padding_nor_on_the_cut_into_parts():
    logits = torch.randn(12, 9, generator=torch.Generator().manual_seed(3))

    def sample(*parts):
        generator = torch.Generator().manual_seed(4)
        twice = (torch.stack((p.log_softmax(1), (2 * p).log_softmax(1)), dim=1) for p in parts)
        return torch.cat([Predictive(log_p).sample(generator) for log_p in twice])

    labels = sample(logits)
    assert len(labels.unique(dim=0)) > 4
    assert torch.equal(sample(torch.nn.functional.pad(logits, (0, 5), value=-torch.inf)), labels)
    assert torch.equal(sample(logits[:5], logits[5:6], logits[6:]), labels)


# --- QA ---


def test_masked_span_ignores_the_padded_length():
    head = QAHead(mask_padding=True)
    model = with_adapter(head).double()
    batch = tokens(3, 10, lengths=[10, 6, 3])
    short, long = predict(model, head, batch), predict(model, head, padded(batch, 7))
    for narrow, wide in zip(short.log_p.unbind(1), long.log_p.unbind(1), strict=True):
        torch.testing.assert_close(wide[:, :10], narrow)
        assert (wide[:, 10:] == -torch.inf).all()
        assert narrow[batch["attention_mask"] == 1].isfinite().all()
        torch.testing.assert_close(wide.exp().sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_unmasked_span_is_the_librarys_softmax_over_padding_too():
    head = QAHead(mask_padding=False)
    model = with_adapter(head).double()
    batch = tokens(3, 10, lengths=[10, 6, 3])
    predictive = predict(model, head, batch)
    labels = torch.tensor([[0, 3], [2, 2], [1, 2]])
    start, end = labels.clone().T
    mean_of_start_and_end = model(**batch, start_positions=start, end_positions=end).loss
    torch.testing.assert_close(predictive.nll(labels).mean() / 2, mean_of_start_and_end)
    assert predict(model, head, padded(batch, 7)).nll(labels).mean() > predictive.nll(labels).mean() + 0.1


def test_the_training_loss_of_spans_is_the_mean_of_start_and_end():
    # p(start) = 1/2, p(end) = 1/8: log 2 and 3 log 2; their mean is 2 log 2, the log-probability of the window -4 log 2.
    log_p = torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]], dtype=torch.float64).log()
    labels = torch.tensor([[0, 0]])
    windows = [Feature(0, {"input_ids": np.arange(3)}, (0, 0))]
    unit = QAHead(mask_padding=True).unit
    batch = Batches(windows, batch_size=1, seed=0, slots=9, pad_id=0, device=torch.device("cpu"), unit=unit)[1]
    nll = Predictive(log_p).nll(labels)
    assert nll.tolist() == pytest.approx([4 * math.log(2)])
    assert nll.sum().item() / batch.units == pytest.approx(2 * math.log(2))


def test_the_head_of_spans_is_a_linear_layer_alone():
    model = with_adapter(QAHead(mask_padding=True))
    assert model.config.hidden_dropout_prob == 0.1
    head = model.heads["task"].train()
    hidden = torch.randn(2, 5, 16)
    (linear,) = (module for module in head if isinstance(module, torch.nn.Linear))
    start, end = head((hidden,), return_dict=False)[:2]
    torch.testing.assert_close(torch.stack([start, end], dim=2), hidden @ linear.weight.T + linear.bias)


# --- Multiple choice ---


def test_choices_of_an_example_stay_side_by_side():
    head = MultipleChoiceHead(layers=2, use_pooler=False)
    model = with_adapter(head).double()
    batch = tokens(3, 2, 8, lengths=[8, 5, 6])
    batch["attention_mask"][0, 1, 4:] = 0
    together = predict(model, head, batch).log_p
    for row in range(3):
        alone = predict(model, head, {name: tensor[[row]] for name, tensor in batch.items()}).log_p
        torch.testing.assert_close(together[[row]], alone)
    swapped = predict(model, head, {name: tensor.flip(1) for name, tensor in batch.items()}).log_p
    torch.testing.assert_close(swapped, together.flip(2))


# --- Any head ---


def test_labels_in_a_batch_do_not_reach_the_model():
    head = ClassificationHead(num_labels=3, layers=1, use_pooler=False)
    model = with_adapter(head)
    batch = tokens(2, 6)
    with_labels = predict(model, head, {**batch, "labels": torch.tensor([[0], [99]])})
    torch.testing.assert_close(with_labels.log_p, predict(model, head, batch).log_p)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_log_probabilities_are_no_coarser_than_fp32(head):
    model, batch = (
        with_adapter(head),
        tokens(2, 2, 6) if isinstance(head, MultipleChoiceHead) else tokens(2, 6),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_p = predict(model, head, batch).log_p
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.exp().sum(dim=2), torch.ones(log_p.shape[:2]))


@pytest.mark.parametrize(("layers", "linears"), [(1, [(16, 3)]), (2, [(16, 16), (16, 3)])])
def test_classification_head_is_built_as_asked(layers, linears):
    model = with_adapter(ClassificationHead(num_labels=3, layers=layers, use_pooler=True))
    shapes = [(m.in_features, m.out_features) for m in model.heads["task"] if isinstance(m, torch.nn.Linear)]
    assert shapes == linears
    assert model.heads["task"].config["activation_function"] == "tanh"
    assert model.heads["task"].config["use_pooler"] is True


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_saved_head_comes_back_with_plain_adapters(head, kind, tmp_path):
    model = with_adapter(head, kind)
    with torch.no_grad():
        for parameter in model.heads["task"].parameters():
            parameter.normal_()
    model.save_adapter(str(tmp_path), "task", with_head=True, use_safetensors=True)

    plain = encoder(kind)
    assert plain.load_adapter(str(tmp_path), use_safetensors=True) == "task"
    plain.set_active_adapters("task")
    batch = tokens(2, 2, 6) if isinstance(head, MultipleChoiceHead) else tokens(2, 6)
    expected, loaded = model(**batch), plain.eval()(**batch)
    assert list(plain.heads) == ["task"]
    for name, value in expected.items():
        assert torch.equal(loaded[name], value)


def test_deberta_classifies_from_the_first_token():
    head = ClassificationHead(num_labels=3, layers=2, use_pooler=False)
    assert predict(with_adapter(head, "deberta"), head, tokens(2, 6)).log_p.shape == (2, 1, 3)


# --- Blocks ---


@pytest.mark.parametrize("kind", CONFIGS)
def test_bottleneck_blocks(kind):
    model = encoder(kind)
    model.add_adapter("en", config=SeqBnInvConfig(reduction_factor=2))
    model.add_adapter("task", config=SeqBnConfig(reduction_factor=4))
    model.set_active_adapters(Stack("en", "task"))
    blocks = task_blocks(model, "task")
    assert list(blocks) == [0, 1, 2]
    for layer, block in blocks.items():
        prefix = f"{kind}.encoder.layer.{layer}.output.adapters.task."
        projections = ("adapter_down.0", "adapter_up")
        assert set(block) == {prefix + place + end for place in projections for end in (".weight", ".bias")}
        assert {layer_of(name) for name in block} == {layer}
    named = dict(model.named_parameters())
    assert all(named[name] is parameter for block in blocks.values() for name, parameter in block.items())


@pytest.mark.parametrize("kind", CONFIGS)
def test_lora_blocks_hold_query_and_value_together(kind):
    model = encoder(kind)
    model.add_adapter("en", config=SeqBnConfig(reduction_factor=2))
    model.add_adapter("task", config=LoRAConfig(r=2))
    projection = "_proj" if kind == "deberta" else ""
    assert {layer: set(block) for layer, block in task_blocks(model, "task").items()} == {
        layer: {
            f"{kind}.encoder.layer.{layer}.attention.self.{site}{projection}.loras.task.lora_{matrix}"
            for site in ("query", "value")
            for matrix in "AB"
        }
        for layer in range(3)
    }


def test_an_adapters_blocks_are_all_its_parameters_but_the_invertible_ones():
    model = encoder()
    before = {name for name, _ in model.named_parameters()}
    model.add_adapter("en", config=SeqBnInvConfig(reduction_factor=2))
    added = {name for name, _ in model.named_parameters()} - before
    in_blocks = {name for block in task_blocks(model, "en").values() for name in block}
    assert added - in_blocks == {name for name in added if ".invertible_adapters." in name} != set()


def test_blocks_are_in_ascending_order_with_twelve_layers():
    torch.manual_seed(0)
    model = AutoAdapterModel.from_config(BertConfig(**{**SIZE, "num_hidden_layers": 12}))
    model.add_adapter("task", config=SeqBnConfig())
    assert list(task_blocks(model, "task")) == list(range(12))


def test_a_missing_adapter_is_named():
    model = encoder()
    model.add_adapter("en", config=SeqBnConfig())
    with pytest.raises(RunError, match=r"'task'.*add_adapter"):
        task_blocks(model, "task")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("bert.encoder.layer.11.output.adapters.task.adapter_up.bias", 11),
        ("roberta.encoder.layer.3.attention.self.query.loras.task.lora_A", 3),
        ("deberta.encoder.layer.0.attention.self.query_proj.weight", 0),
        ("bert.embeddings.word_embeddings.weight", None),
        ("bert.invertible_adapters.en.F.0.weight", None),
        ("bert.pooler.dense.weight", None),
        ("heads.task.1.weight", None),
        ("deberta.encoder.rel_embeddings.weight", None),
    ],
)
def test_layer_of(name, layer):
    assert layer_of(name) == layer
