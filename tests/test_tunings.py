"""BitFit, soft prompts and Houlsby's adapters: what trains, what heads read, what is kept."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from adapters import AutoAdapterModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, BertConfig

from fun.errors import ConfigError
from fun.inputs import compose
from fun.models.encoders import load_encoder
from fun.models.heads import ClassificationHead, Head, MultipleChoiceHead, QAHead, TaggingHead, predict
from fun.models.task_model import TaskModel
from fun.models.tuning import Tuning
from fun.models.tuning.adapters import Houlsby, Prompts
from fun.models.tuning.pretrained import BitFit
from tests import tiny_models
from tests.conftest import Cli, metrics_of, outcome
from tests.test_models import TEXTS, batch, equal, log_probabilities, stages
from tests.test_resume import wait_for_update
from tests.test_run import only

TUNINGS: Mapping[str, Tuning] = {
    "bitfit": BitFit(),
    "prompts": Prompts(length=5),
    "houlsby": Houlsby(size=4, nonlinearity="swish"),
}
HEADS: Mapping[str, Head] = {
    "squad": QAHead(mask_padding=True),
    "mnli": ClassificationHead(num_labels=3, layers=1, use_pooler=True),
    "copa": MultipleChoiceHead(layers=2, use_pooler=False),
    "udpos": TaggingHead(num_labels=5),
}
PAIRS = [("mbert", "mnli"), ("mbert", "squad"), ("xlmr", "copa"), ("xlmr", "squad")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny encoder of each model."""
    root = tmp_path_factory.mktemp("tiny")
    for name, (_, build) in tiny_models.MODELS.items():
        build(root / name, TEXTS)
    return root


def task_model(tiny: Path, model: str, task: str, adapter: str) -> TaskModel:
    source, tuning, head = f"folder:{tiny / model}", TUNINGS[adapter], HEADS[task]
    made = TaskModel(source, tuning, head, name=task, language_adapters={}, init_seed=3)
    made.activate("en")
    return made


def five_updates(model: TaskModel, task: str) -> None:
    model.module.train()
    for parameter in model.parameters().values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters().values(), lr=0.01)
    for _ in range(5):
        predictive = predict(model.module, model.head, batch(model, task))
        predictive.nll(torch.ones_like(predictive.mode())).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("adapter", TUNINGS)
@pytest.mark.parametrize(("model", "task"), PAIRS)
def test_what_does_not_train_stays_bit_equal_and_what_does_comes_back(
    tiny: Path, tmp_path: Path, model: str, task: str, adapter: str
) -> None:
    trained = task_model(tiny, model, task, adapter)
    before = {name: parameter.detach().clone() for name, parameter in trained.module.named_parameters()}
    five_updates(trained, task)
    changed = {name for name, p in trained.module.named_parameters() if not torch.equal(before[name], p)}
    assert changed == set(trained.parameters())

    trained.save(tmp_path / "kept")
    files = list((tmp_path / "kept").glob("*.safetensors"))
    assert sum(map(len, map(load_file, files))) == len(changed)
    again = task_model(tiny, model, task, adapter)
    assert not equal(log_probabilities(again, task), log_probabilities(trained, task))
    again.load(tmp_path / "kept")
    assert equal(log_probabilities(again, task), log_probabilities(trained, task))


@pytest.mark.parametrize(
    ("tuning", "parameters"),
    [
        (BitFit(), 12 * (4 * 768 + 3072 + 768 + 2 * 768) + 2 * 768),  # 102,912
        (Prompts(length=20), 20 * 768),  # 15,360
        (Houlsby(size=64, nonlinearity="swish"), 12 * 2 * (2 * 768 * 64 + 64 + 768)),  # 2,379,264
    ],
)
def test_parameters_at_the_size_of_mbert(tuning: Tuning, parameters: int) -> None:
    with torch.device("meta"):
        module = AutoAdapterModel.from_config(BertConfig(vocab_size=119_547))
        tuning.attach(module, "mnli")
        HEADS["mnli"].add_to(module, "mnli")
    blocks = tuning.blocks(module, "mnli")
    assert list(blocks) == (list(range(12)) if tuning.layered else [])
    trained = [tuning.always(module, "mnli"), *blocks.values()]
    assert sum(parameter.numel() for block in trained for parameter in block.values()) == parameters


def test_the_pooler_is_tuned_where_it_is_read_alone(tiny: Path) -> None:
    poolers = {task: "bert.pooler.dense.bias" in task_model(tiny, "mbert", task, "bitfit").parameters()
               for task in HEADS}  # fmt: skip
    assert poolers == {"squad": False, "mnli": True, "copa": False, "udpos": False}


def by_hand(tiny: Path, tuned: TaskModel, inputs: Mapping[str, Tensor], *, prompted: bool = True) -> Tensor:
    """The states of [CLS] and all prompts and words, [B, T', H], by the plain encoder."""
    plain = AutoModel.from_pretrained(tiny / tuned.module.config.name_or_path.removeprefix("folder:")).eval()
    states = plain.embeddings(input_ids=inputs["input_ids"])
    mask = inputs["attention_mask"]
    if prompted:
        (prompts,) = tuned.tuning.always(tuned.module, tuned.name).values()
        states = torch.cat((states[:, :1], prompts.expand(len(states), -1, -1), states[:, 1:]), dim=1)
        mask = torch.cat((mask[:, :1], torch.ones(len(mask), len(prompts)), mask[:, 1:]), dim=1)
    additive = (1.0 - mask[:, None, None]) * torch.finfo(torch.float32).min
    found: Tensor = plain.encoder(states, attention_mask=additive).last_hidden_state
    return found


@pytest.mark.parametrize("model", ["mbert", "xlmr"])
def test_heads_read_cls_and_the_words_around_the_prompts(tiny: Path, model: str) -> None:
    spans, pairs = (task_model(tiny, model, task, "prompts") for task in ("squad", "mnli"))
    inputs = batch(spans, "squad")
    with torch.no_grad():
        states = by_hand(tiny, spans, inputs)
        assert states.shape[1] == inputs["input_ids"].shape[1] + 5
        words = torch.cat((states[:, :1], states[:, 6:]), dim=1)
        starts = spans.module.heads["squad"][-1](words)[..., 0]
        torch.testing.assert_close(spans.module.eval()(**inputs).start_logits, starts)

        inputs["words"] = inputs["attention_mask"].clone()
        inputs["words"][:, ::2] = 0
        tags = task_model(tiny, model, "udpos", "prompts")
        tagged = predict(tags.module.eval(), tags.head, inputs)
        states = by_hand(tiny, tags, inputs)
        scores = tags.module.heads["udpos"][-1](torch.cat((states[:, :1], states[:, 6:]), dim=1))
        assert tagged.present is not None
        torch.testing.assert_close(tagged.log_p[tagged.present], scores[inputs["words"].bool()].log_softmax(dim=1))

        del inputs["words"]
        pooled = pairs.module.base_model.pooler(by_hand(tiny, pairs, inputs))
        torch.testing.assert_close(pairs.module.eval()(**inputs).logits, pairs.module.heads["mnli"][-1](pooled))


@pytest.mark.parametrize("model", ["mbert", "xlmr"])
def test_prompts_that_are_masked_out_leave_the_unprompted_output(tiny: Path, model: str) -> None:
    tuned = task_model(tiny, model, "squad", "prompts")
    inputs = batch(tuned, "squad")
    assert not inputs["attention_mask"].all()

    def without_prompts(layer: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states, mask, *rest = arguments
        mask = mask.clone()
        mask[..., 1:6] = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        return states, mask, *rest

    prompted = tuned.module.eval().base_model(**inputs).last_hidden_state
    for layer in tuned.module.base_model.encoder.layer:
        layer.register_forward_pre_hook(without_prompts)
    unprompted = by_hand(tiny, tuned, inputs, prompted=False)
    found = tuned.module.base_model(**inputs).last_hidden_state
    torch.testing.assert_close(found, unprompted)
    assert not torch.allclose(prompted, unprompted)


def test_what_does_not_fit_is_told_in_a_line(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"adapter=prompts has no unfreezing schedule.*type schedule=std"):
        compose(["adapter=prompts", "schedule=gu"])
    with pytest.raises(ConfigError, match=r"adapter=bitfit trains the encoder itself: type fisher=algorithm2"):
        compose(["adapter=bitfit", "schedule=fun", "fisher=exact"])
    with pytest.raises(ConfigError, match=r"adapter\.size is 5, and the encoder's hidden size 16"):
        Houlsby(size=5, nonlinearity="relu").attach(load_encoder(f"folder:{tiny / 'mbert'}").module, "squad")
    with pytest.raises(ConfigError, match="adapter=prompts has no form for deberta-v2"):
        task_model(tiny, "mdeberta", "squad", "prompts")


STEPS = ("train.updates=14", "train.eval_every=7", "train.batch_size=8", "checkpoint.every=5", "device=cpu",
         "train.lr=1e-3")  # fmt: skip


def evaluated_further(cli: Cli, *run: str) -> None:
    """What was kept is enough to test in one more language."""
    (folder, before) = only(cli)
    cli(*run, "evaluate.languages=[en,l1]")
    (_, after) = only(cli)
    assert {"en", "l1"} == set(next(iter(metrics_of(after).values())))
    assert {name: after["files"][name] for name in before["files"]} == before["files"], folder


@pytest.mark.long
def test_a_killed_run_of_biases_resumes_exactly(tmp_path: Path) -> None:
    run = ("task=copa", "adapter=bitfit", "schedule=gu", "schedule.k=1", *STEPS)
    whole, killed = Cli(tmp_path / "whole"), Cli(tmp_path / "killed")
    whole(*run, "evaluate.languages=[en]")
    process = killed.start(*run, "evaluate.languages=[en]")
    wait_for_update(process, killed, 8)
    process.kill()
    process.communicate()
    assert "resuming after update 5" in killed(*run, "evaluate.languages=[en]").stderr
    assert outcome(only(killed)[1]) == outcome(only(whole)[1])
    assert [update for update, _ in stages(killed)] == list(range(1, 13))
    evaluated_further(killed, *run)


@pytest.mark.long
@pytest.mark.parametrize(
    ("adapter", "task", "trainable"),
    [
        ("prompts", "squad", 20 * 64 + 64 * 2 + 2),
        ("prompts", "udpos", 20 * 64 + 64 * 17 + 17),
        ("houlsby", "copa", 12 * 2 * (2 * 64 * 64 + 2 * 64) + 64 * 64 + 64 + 64 + 1),
    ],
)
def test_from_the_command_line(cli: Cli, adapter: str, task: str, trainable: int) -> None:
    run = (f"task={task}", f"adapter={adapter}", "schedule=std", *STEPS)
    said = cli(*run, "evaluate.languages=[en]").stderr
    assert "none are activated" not in said
    assert stages(cli) == [(1, trainable)]
    evaluated_further(cli, *run)
