"""What full fine-tuning holds in memory, and what a done run keeps on disk."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from adapters import AutoAdapterModel
from torch import Tensor
from transformers import BertConfig, XLMRobertaConfig

from fun.errors import ConfigError, DeviceTooSmall
from fun.experiment import build_model
from fun.inputs import compose
from fun.methods.anchor import Ewc
from fun.training.memory import check_memory, memory
from tests.conftest import Cli, metrics_of
from tests.test_run import only

FULL = ("adapter=full", "schedule=std", "train.lr=1e-3", "task=mnli")


def test_what_is_held_at_the_size_of_xlmr_large() -> None:
    config = compose([*FULL, "regularizer=l2", "regularizer.strength=1", "train.slots=4096"])
    shape = XLMRobertaConfig(hidden_size=1024, num_hidden_layers=24, intermediate_size=4096)
    held = memory(config, shape, weights=560_000_000, trained=560_000_000)
    assert held == {
        "weights": 2_240_000_000,
        "gradients": 2_240_000_000,
        "moments": 4_480_000_000,
        "θ*": 2_240_000_000,  # 11.2 GB before activations
        "activations": 24 * (9 * 1024 + 2 * 4096) * 4 * 4096,  # 6.8 GB
    }
    regularizer = Ewc(strength=1.0, languages=("l1",), combine="sum", normalise="mean")
    ewc = config.model_copy(update={"regularizer": regularizer, "precision": "bf16"})
    half = memory(ewc, shape, weights=560_000_000, trained=560_000_000)
    assert half == {**held, "F": 2_240_000_000, "activations": held["activations"] // 2}


def saved_bytes(layers: int) -> int:
    """What autograd saves for the backward pass of 4 × 32 tokens, parameters not counted."""
    size = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2, "num_hidden_layers": layers}
    model = AutoAdapterModel.from_config(
        BertConfig(**size, vocab_size=100, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    model.add_classification_head("task", num_labels=3)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    tokens = torch.ones(4, 32, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(input_ids=tokens, attention_mask=tokens)
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def test_activations_are_those_that_autograd_saves() -> None:
    measured = (saved_bytes(4) - saved_bytes(2)) / 2
    shape = BertConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=1)
    told = memory(compose([*FULL, f"train.slots={4 * 32}"]), shape, weights=0, trained=0)["activations"]
    assert told <= measured < 1.01 * told  # statistics of layer norms and softmax


def test_a_gpu_that_is_too_small_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose([*FULL, "train.slots=1000"])
    model = build_model(config)
    numbers = sum(parameter.numel() for parameter in model.module.parameters())
    needed = 16 * numbers + 12 * (9 * 64 + 2 * 128) * 4 * 1000
    gpu = SimpleNamespace(total_memory=needed)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T0")
    check_memory(config, model, torch.device("cuda"))
    gpu.total_memory -= 1
    with pytest.raises(
        DeviceTooSmall, match=r"Tesla T0 has 0\.0 GB: type a smaller train\.slots, or take a larger GPU"
    ):
        check_memory(config, model, torch.device("cuda"))


def test_a_done_run_keeps_its_predictions_alone(cli: Cli) -> None:
    run = [*FULL[:-1], "task=copa", "train.updates=2", "train.eval_every=2", "device=cpu", "evaluate.languages=[en]"]
    said = cli(*run, "keep=weights").stderr
    assert "holds at least" in said
    folder, before = only(cli)
    assert (folder / "model").is_dir()
    cli(*run, "keep=predictions")
    folder, after = only(cli)
    assert not (folder / "model").exists()
    assert set(after["files"]) == {name for name in before["files"] if not name.startswith("model/")}
    assert after["evaluations"] == before["evaluations"]
    assert cli.preview(*run)["state"] == "done"

    run[-1] = "evaluate.languages=[en,l1]"
    refused = cli(*run, "keep=predictions", status=2).stderr
    assert "lacks microcopa in l1, and kept no weights: type force=true keep=weights" in refused
    cli(*run, "keep=predictions", "force=true")  # the whole life at once
    folder, whole = only(cli)
    assert set(metrics_of(whole)["microcopa"]) == {"en", "l1"}
    assert not (folder / "model").exists()
    assert metrics_of(whole)["microcopa"]["en"] == metrics_of(after)["microcopa"]["en"]


def test_what_is_kept_is_no_identity_and_a_paper_may_choose_it(tmp_path: Path) -> None:
    rules = "[fun/presets,fun/shared,fun/micro,{adapter: [full], set: {keep: predictions}}]"
    config = compose([*FULL, f"paper.rules={rules}"])
    assert (config.keep, compose([*FULL]).keep) == ("predictions", None)
    assert config.active() == compose([*FULL]).active()
    with pytest.raises(ConfigError, match=r"task=mlm is there for its weights: type keep=weights"):
        compose(["task=mlm", "lang=l1", "keep=predictions"])
