"""Encoders of the three real architectures, language adapters by origin, and what trains on them, on tiny doubles."""

import json
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import AutoAdapterModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from fun.errors import AdapterMissing, ConfigError, FunError, RunError
from fun.models.blocks import layer_of
from fun.models.encoders import check_encoder, load_encoder, load_tokenizer
from fun.models.heads import ClassificationHead, Head, MultipleChoiceHead, QAHead, predict
from fun.models.task_model import TaskModel
from fun.models.tuning import Tuning
from fun.models.tuning.adapters import Lora, Madx
from fun.models.tuning.pretrained import Full
from tests import tiny_models
from tests.conftest import Cli, metrics_of

TEXTS = [
    f"{who} {does} the {what} in the {where}."
    for who in ("A man", "My sister", "Nobody", "The old dog")
    for does in ("sees", "forgets", "paints")
    for what in ("house", "river", "blue boat")
    for where in ("village", "winter", "morning")
]
HEADS: Mapping[str, Head] = {
    "squad": QAHead(mask_padding=True),
    "mnli": ClassificationHead(num_labels=3, layers=2, use_pooler=False),
    "copa": MultipleChoiceHead(layers=2, use_pooler=False),
}
TUNINGS: Mapping[str, Tuning] = {
    "madx": Madx(reduction=4, nonlinearity="relu", language_adapter=True),
    "lora": Lora(r=2, alpha=2, language_adapter=True),
    "full": Full(),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny encoder per model, and language adapters beside each: <model>-<language>."""
    root = tmp_path_factory.mktemp("tiny")
    for name, (_, build) in tiny_models.MODELS.items():
        encoder = build(root / name, TEXTS)
        tiny_models.language_adapter(root / f"{name}-en", encoder, "en")
        tiny_models.language_adapter(root / f"{name}-tr", encoder, "tr", nonlinearity="gelu", head=name == "mbert")
    return root


def task_model(
    tiny: Path, model: str, *, task: str = "mnli", adapter: str = "madx", languages: tuple[str, ...] = ()
) -> TaskModel:
    return TaskModel(
        f"folder:{tiny / model}",
        TUNINGS[adapter],
        HEADS[task],
        name=task,
        language_adapters={language: f"folder:{tiny / f'{model}-{language}'}" for language in languages},
        init_seed=3,
    )


def batch(model: TaskModel, task: str) -> dict[str, Tensor]:
    pairs = model.tokenizer(TEXTS[:4], TEXTS[4:8], padding=True, return_tensors="pt")
    inputs = {name: pairs[name] for name in ("input_ids", "attention_mask")}
    return {name: tensor.view(2, 2, -1) for name, tensor in inputs.items()} if task == "copa" else inputs


def log_probabilities(model: TaskModel, task: str) -> list[Tensor]:
    model.module.eval()
    with torch.no_grad():
        return list(predict(model.module, model.head, batch(model, task)).log_p.unbind(dim=1))


def one_step(model: TaskModel, task: str) -> None:
    """A step of plain SGD on everything that may train."""
    model.module.train()
    for parameter in model.parameters().values():
        parameter.requires_grad_(True)
    predictive = predict(model.module, model.head, batch(model, task))
    predictive.nll(predictive.mode()).mean().backward()
    with torch.no_grad():
        for parameter in model.parameters().values():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# --- What trains, and what is saved ---


@pytest.mark.parametrize(
    ("model", "adapter", "task"),
    [  # a Latin square: every pair of two once
        (model, adapter, [*HEADS][(row + column) % 3])
        for row, model in enumerate(tiny_models.MODELS)
        for column, adapter in enumerate(TUNINGS)
    ],
)
def test_only_what_may_train_changes_and_all_of_it_comes_back(
    tiny: Path, model: str, adapter: str, task: str, tmp_path: Path
) -> None:
    trained = task_model(tiny, model, task=task, adapter=adapter)
    trained.activate("en")
    before = {name: parameter.detach().clone() for name, parameter in trained.module.named_parameters()}
    one_step(trained, task)
    changed = {name for name, found in trained.module.named_parameters() if not torch.equal(before[name], found)}
    assert changed <= set(trained.parameters())
    assert {layer_of(name) for name in changed} == {*range(12), None}

    trained.save(tmp_path / trained.artifact)
    again = task_model(tiny, model, task=task, adapter=adapter)
    again.activate("en")
    assert not equal(log_probabilities(again, task), log_probabilities(trained, task))
    again.load(tmp_path / trained.artifact)
    assert equal(log_probabilities(again, task), log_probabilities(trained, task))


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_full_fine_tuning_trains_layers_with_their_layer_and_all_else_with_the_head(tiny: Path, model: str) -> None:
    found = task_model(tiny, model, adapter="full")
    named = dict(found.module.named_parameters())
    assert set(found.parameters()) == set(named)
    assert list(found.blocks) == list(range(12))
    outside = {name for name in named if ".encoder.layer." not in name}
    assert set(found.unscheduled) == outside
    assert any("embeddings" in name for name in outside)
    assert {name for name in outside if name.startswith("heads.")} == {
        f"heads.mnli.{place}" for place in ("1.weight", "1.bias", "4.weight", "4.bias")
    }


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_a_fully_fine_tuned_model_loads_with_plain_libraries(tiny: Path, model: str, tmp_path: Path) -> None:
    trained = task_model(tiny, model, adapter="full")
    trained.activate("en")
    one_step(trained, "mnli")
    trained.save(tmp_path)
    assert not list(tmp_path.glob("*.bin"))

    inputs = batch(trained, "mnli")
    plain = AutoAdapterModel.from_pretrained(tmp_path).eval()
    trained.module.eval()
    assert torch.equal(plain(**inputs).logits, trained.module(**inputs).logits)
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    expected = trained.module.base_model(**inputs).last_hidden_state
    assert torch.equal(encoder(**inputs).last_hidden_state, expected)


def test_no_published_head_stays(tiny: Path) -> None:
    encoder = load_encoder(f"folder:{tiny / 'mbert'}")
    assert list(encoder.module.heads) == ["default"]  # BertForMaskedLM's, which task=mlm starts from
    assert list(task_model(tiny, "mbert").module.heads) == ["mnli"]


# --- Encoders ---


def test_a_half_precision_pickle_is_computed_in_fp32(tiny: Path) -> None:
    stored = torch.load(tiny / "mdeberta" / "pytorch_model.bin", weights_only=True)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    module = load_encoder(f"folder:{tiny / 'mdeberta'}").module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    name = "deberta.encoder.layer.11.attention.self.query_proj.weight"
    assert torch.equal(dict(module.named_parameters())[name], stored[name].float())


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_a_tokenizer_is_read_without_the_weights(tiny: Path, tmp_path: Path, model: str) -> None:
    without = shutil.ignore_patterns("*.safetensors", "*.bin")
    folder = Path(shutil.copytree(tiny / model, tmp_path / "tokenizer", ignore=without))
    alone, beside = load_tokenizer(f"folder:{folder}"), load_encoder(f"folder:{tiny / model}").tokenizer
    assert type(alone) is type(beside)
    assert alone.is_fast
    assert alone(TEXTS)["input_ids"] == beside(TEXTS)["input_ids"]


def test_a_pooler_that_was_not_published_is_not_read(tiny: Path, tmp_path: Path) -> None:
    assert [load_encoder(f"folder:{tiny / model}").pooler for model in tiny_models.MODELS] == [True, True, False]
    without = shutil.copytree(tiny / "xlmr", tmp_path / "without")
    kept = {name: tensor for name, tensor in load_file(without / "model.safetensors").items() if "pooler" not in name}
    save_file(kept, without / "model.safetensors", metadata={"format": "pt"})
    head = ClassificationHead(num_labels=3, layers=1, use_pooler=True)
    for folder in (without, tiny / "mdeberta"):
        with pytest.raises(ConfigError, match=r"no pretrained pooler: type model\.pooler=false model\.head_layers=2"):
            TaskModel(f"folder:{folder}", Full(), head, name="mnli", language_adapters={}, init_seed=0)


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_layers_and_positions_are_compared_with_the_configuration(tiny: Path, model: str) -> None:
    module = load_encoder(f"folder:{tiny / model}").module
    check_encoder(module.config, name=model, layers=12, positions=512)
    with pytest.raises(ConfigError, match=r"layers=12, expected 24.*type model\.layers=12"):
        check_encoder(module.config, name=model, layers=24, positions=512)
    with pytest.raises(ConfigError, match=r"positions=512, expected 514.*type model\.positions=512"):
        check_encoder(module.config, name=model, layers=12, positions=514)


def changed(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def retyped(folder: Path, **settings: Any) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def with_more_tokens(folder: Path) -> None:
    tokenizer = load_tokenizer(f"folder:{folder}")
    tokenizer.add_tokens([f"token{number}" for number in range(1000)])
    tokenizer.save_pretrained(folder)


BROKEN = {
    "more tokens than embeddings": (
        "mbert",
        with_more_tokens,
        r"tokenizer has \d+ tokens, and its encoder 800 rows of",
    ),
    "another padding": ("xlmr", lambda f: changed(f, pad_token_id=3), "tokenizer pads with 1, and its encoder with 3"),
    "no separator": ("mbert", lambda f: retyped(f, sep_token=None), "tokenizer has no sep token"),
    "a safetensors header": ("mbert", lambda f: cut(f / "model.safetensors", 100), "cannot be read"),
    "half of the safetensors": ("mbert", lambda f: cut(f / "model.safetensors", 40_000), "cannot be read"),
    "half of the pickle": ("mdeberta", lambda f: cut(f / "pytorch_model.bin", 40_000), "cannot be read"),
    "an empty pickle": ("mdeberta", lambda f: cut(f / "pytorch_model.bin", 0), "cannot be read"),
    "a pickle with code": (
        "mdeberta",
        lambda f: torch.save({"x": Path("code")}, f / "pytorch_model.bin"),
        "cannot be read",
    ),
    "a cut tokenizer": ("xlmr", lambda f: cut(f / "tokenizer.json", 500), "tokenizer"),
    "a cut config": ("xlmr", lambda f: cut(f / "config.json", 50), "cannot be read"),
    "another architecture": ("mbert", lambda f: changed(f, model_type="gpt2"), "gpt2; expected one of bert"),
    "another size": ("mbert", lambda f: changed(f, intermediate_size=64), "cannot be read"),
    "too few weights": ("mbert", lambda f: changed(f, num_hidden_layers=13), "lacks 16 weights of the encoder"),
}


@pytest.mark.parametrize(("model", "damage", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_encoder_ends_in_one_line(tiny: Path, tmp_path: Path, model: str, damage: Any, message: str) -> None:
    folder = Path(shutil.copytree(tiny / model, tmp_path / "encoder"))
    damage(folder)
    with pytest.raises(FunError, match=message) as caught:
        load_encoder(f"folder:{folder}")
    assert "\n" not in str(caught.value)


# --- Language adapters ---


@pytest.mark.parametrize("adapter", ["madx", "lora"])
@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_language_adapters_are_swapped_below_the_task_adapter_and_stay_frozen(
    tiny: Path, model: str, adapter: str
) -> None:
    found = task_model(tiny, model, adapter=adapter, languages=("en", "tr"))
    outputs = {}
    for language in ("en", "tr", "en"):
        found.activate(language)
        assert found.module.active_adapters.children == [language, "mnli"]
        first = outputs.setdefault(language, log_probabilities(found, "mnli"))
        assert equal(first, log_probabilities(found, "mnli"))
    assert not equal(outputs["en"], outputs["tr"])
    assert list(found.module.heads) == ["mnli"]
    frozen = {name for name, parameter in found.module.named_parameters() if not parameter.requires_grad}
    assert (
        {name for name in frozen if "adapters.en." in name or "adapters.tr." in name}
        == {name for name, _ in found.module.named_parameters() if "adapters.en." in name or "adapters.tr." in name}
        != set()
    )


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_the_published_weights_and_activations_are_those_in_use(tiny: Path, model: str) -> None:
    found = task_model(tiny, model, languages=("en", "tr"))
    state = {}
    for language, nonlinearity in (("en", "relu"), ("tr", "gelu")):
        found.activate(language)
        state |= torch.load(tiny / f"{model}-{language}" / "pytorch_adapter.bin", weights_only=True)
        assert found.module.adapters_config.get(language)["non_linearity"] == nonlinearity
    loaded = found.module.state_dict()
    assert len(state) == 2 * (12 * 4 + 8)  # down and up in every layer; F and G of the invertible block
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("model", tiny_models.MODELS)
def test_the_language_adapters_invertible_block_is_in_use(tiny: Path, model: str) -> None:
    found = task_model(tiny, model, languages=("en",))
    found.activate("en")
    with_block = log_probabilities(found, "mnli")
    del found.module.base_model.invertible_adapters["en"]
    assert not equal(log_probabilities(found, "mnli"), with_block)


def test_names_of_older_libraries_are_understood(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny / "mbert-en", tmp_path / "mbert-en"))
    weights = torch.load(folder / "pytorch_adapter.bin", weights_only=True)
    older = {
        name.replace(".invertible_adapters.", ".invertible_lang_adapters.").replace(
            "output.adapters.", "output.layer_text_lang_adapters."
        ): tensor
        for name, tensor in weights.items()
    }
    assert set(older).isdisjoint(weights)
    torch.save(older, folder / "pytorch_adapter.bin")
    shutil.copytree(tiny / "mbert", tmp_path / "mbert")
    outputs = []
    for root in (tiny, tmp_path):
        found = task_model(root, "mbert", languages=("en",))
        found.activate("en")
        outputs.append(log_probabilities(found, "mnli"))
    assert equal(*outputs)


def without_a_layer(folder: Path) -> None:
    weights = torch.load(folder / "pytorch_adapter.bin", weights_only=True)
    torch.save(
        {name: tensor for name, tensor in weights.items() if ".layer.7." not in name}, folder / "pytorch_adapter.bin"
    )


def described(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


UNFIT = {
    "hidden size": (lambda f: described(f, hidden_size=768), ConfigError, "hidden_size=768, but this one has hidden"),
    "architecture": (lambda f: described(f, model_type="xlm-roberta"), ConfigError, "model_type=xlm-roberta"),
    "encoder": (
        lambda f: described(f, model_name="a/xlm-r"),
        ConfigError,
        "model_name=xlm-r, but this one has model_name=",
    ),
    "weights": (without_a_layer, RunError, "lacks 4 weights of the language adapter"),
    "no weights": (lambda f: (f / "pytorch_adapter.bin").unlink(), ConfigError, "cannot be read"),
    "cut weights": (lambda f: cut(f / "pytorch_adapter.bin", 5000), FunError, "cannot be read"),
}


@pytest.mark.parametrize(("damage", "kind", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_language_adapter_ends_in_one_line(
    tiny: Path, tmp_path: Path, damage: Any, kind: type[FunError], message: str
) -> None:
    folder = Path(shutil.copytree(tiny / "mbert-en", tmp_path / "mbert-en"))
    damage(folder)
    shutil.copytree(tiny / "mbert", tmp_path / "mbert")
    with pytest.raises(kind, match=message) as caught:
        task_model(tmp_path, "mbert", languages=("en",)).activate("en")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("origin", [None, "run:0123456789abcdef"])
def test_a_language_without_an_adapter_is_a_gap(tiny: Path, tmp_path: Path, origin: str | None) -> None:
    found = TaskModel(
        f"folder:{tiny / 'mbert'}",
        TUNINGS["madx"],
        HEADS["mnli"],
        name="mnli",
        language_adapters={"en": f"folder:{tiny / 'mbert-en'}", "th": origin},
        init_seed=0,
        results=tmp_path,
    )
    found.activate("en")
    with pytest.raises(AdapterMissing, match="th" if origin is None else "0123456789abcdef"):
        found.activate("th")


# --- Full fine-tuning through the entry point ---


def test_a_fully_fine_tuned_run_is_saved_whole_and_evaluated_further(cli: Cli) -> None:
    run = ("task=copa", "adapter=full", "schedule=std", "train.updates=2", "train.eval_every=2", "train.lr=1e-3",
           "device=cpu")  # fmt: skip
    cli(*run, "evaluate.languages=[en]")
    ((run_id, before),) = cli.records().items()
    (folder,) = cli.results.glob(f"runs/copa/micro/*-{run_id}")
    assert (folder / "model" / "model.safetensors").is_file()
    assert before["stages"][0]["trainable"] == sum(
        parameter.numel() for parameter in AutoAdapterModel.from_pretrained(folder / "model").parameters()
    )
    cli(*run, "evaluate.languages=[en,l1]")
    (after,) = cli.records().values()
    assert set(metrics_of(after)["microcopa"]) == {"en", "l1"}
    assert metrics_of(after)["microcopa"]["en"] == metrics_of(before)["microcopa"]["en"]


STEPS = ("train.updates=13", "train.eval_every=13", "train.batch_size=4", "evaluate.languages=[en]", "device=cpu")


def stages(cli: Cli) -> list[tuple[int, int]]:
    """The first update of each stage, and the number of parameters that train in it."""
    (record,) = cli.records().values()
    return [(stage["update"], stage["trainable"]) for stage in record["stages"]]


@pytest.mark.parametrize("embeddings", ["always", "layer0"])
def test_full_fine_tuning_takes_every_schedule(cli: Cli, embeddings: str) -> None:
    cli(
        "task=copa",
        "adapter=full",
        f"adapter.embeddings={embeddings}",
        "schedule=gu",
        "schedule.k=1",
        "train.lr=1e-4",
        *STEPS,
    )
    names = {name: p.numel() for name, p in load_encoder("world").module.named_parameters() if "heads" not in name}
    layers = [sum(n for name, n in names.items() if layer_of(name) == layer) for layer in range(12)]
    embedding = sum(n for name, n in names.items() if ".embeddings." in name)
    found = stages(cli)
    assert [update for update, _ in found] == list(range(1, 13))
    opened = [after - before for (_, before), (_, after) in pairwise(found)]
    expected = layers[-2::-1]
    assert opened == [*expected[:-1], expected[-1] + embedding * (embeddings == "layer0")]


def test_a_kind_of_task_is_a_class(cli: Cli) -> None:
    """Registered in `tests.toys` alone, from the command line to the record."""
    run = ("task=swapped", "adapter=prompts", "adapter.length=4", "schedule=std", "train.lr=1e-2",
           "train.lr_schedule=linear", "train.slots=999", "train.eval_slots=4096", *STEPS)  # fmt: skip
    cli(*run, module="tests.toys")
    ((update, trainable),) = stages(cli)
    assert (update, trainable) == (1, 4 * 64 + 64 * 64 + 64 + 64 * 3 + 3)  # the prompts, a head of two linear layers
