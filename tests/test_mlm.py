"""Masked language modelling: masking and packing by hand, the published head, and language adapters as runs."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from adapters import AutoAdapterModel, SeqBnInvConfig
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from fun import world
from fun.data.base import SUBSET_SEED
from fun.data.corpora import FolderText, Sample, WorldText
from fun.errors import ConfigError, RunError
from fun.experiment import build_model
from fun.inputs import compose, run_id
from fun.models.encoders import load_encoder
from fun.models.heads import MaskedLMHead, forward
from fun.randomness import generator
from fun.results import Damaged, done_run
from fun.tasks.base import collate
from fun.tasks.mlm import Passage
from fun.training.batches import Batch, Batches
from tests import declared, synthetic, tiny_models
from tests.conftest import ROOT, Cli, metrics_of, outcome, real_data
from tests.hub_standin import HubStandin, revision_folder
from tests.test_resume import steps
from tests.test_run import only, wait_for_update

SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(world.folder("encoder"))


@pytest.fixture(scope="module")
def passages(tokenizer: PreTrainedTokenizerBase) -> list[Passage]:
    rows = [{"text": text} for text in world.load_text("l4")[:600]]
    return declared.task("mlm", max_length=64, masking=0.15).encode(rows, tokenizer, "en")


def words(tokenizer: PreTrainedTokenizerBase, ids: np.ndarray) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids.tolist()))


def test_documents_are_packed_by_hand(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{"text": text} for text in ("Nina lives in the farm.", "Paula owns the cow.", "Adam")]
    packed = declared.task("mlm", max_length=8, masking=0.15).encode(rows, tokenizer, "en")
    assert [words(tokenizer, passage.inputs["input_ids"]) for passage in packed] == [
        "[CLS] nina lives in the farm . [SEP]",
        "[CLS] [SEP] paula owns the cow . [SEP]",
    ]  # what is left, "[SEP] adam [SEP]", fills no passage
    for passage in packed:
        assert passage.inputs["attention_mask"].tolist() == [1] * 8
        assert passage.inputs["token_type_ids"].tolist() == [0] * 8


def test_text_that_the_tokenizer_does_not_know_makes_no_passage(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    task = declared.task("mlm", max_length=8, masking=0.3)  # 2 of 8
    unknown, known = {"text": "qqq qqq qqq qqq qqq nina"}, {"text": "qqq qqq qqq nina lives"}
    assert len(task.encode([known], tokenizer, "en")) == 1
    assert caplog.messages == []
    assert len(task.encode([known, unknown, known, unknown], tokenizer, "en")) == 2
    assert caplog.messages == ["mlm: 2 of 4 passages left out, with fewer than 2 tokens that this tokenizer knows"]
    with pytest.raises(ConfigError, match="1 documents with too little text for one passage of 8 tokens"):
        task.encode([unknown], tokenizer, "en")


def test_a_reading_masks_as_bert_does(passages: list[Passage], tokenizer: PreTrainedTokenizerBase) -> None:
    random = generator(0, "reading", 1)
    fates: Counter[str] = Counter()
    for passage in passages * 8:
        read, ids = passage.reading(random), passage.inputs["input_ids"]
        shown, masked = read.inputs["input_ids"], read.inputs["masked"].astype(bool)
        assert masked.sum() == len(read.labels) == 10  # 15 % of 64
        assert (shown[~masked] == ids[~masked]).all()
        assert list(read.labels) == ids[masked].tolist()
        assert not SPECIAL & set(words(tokenizer, ids[masked]).split())
        for token, label in zip(shown[masked], read.labels, strict=True):
            fates["mask" if token == tokenizer.mask_token_id else "same" if token == label else "other"] += 1
    total = fates.total()
    # four standard deviations of a share; a random token is hardly ever the same one
    for fate, share in (("mask", 0.8), ("other", 0.1), ("same", 0.1)):
        assert abs(fates[fate] / total - share) < 4 * math.sqrt(share * (1 - share) / total)


def test_a_mask_is_a_function_of_the_position_and_leaves_the_passage_alone(passages: list[Passage]) -> None:
    def read(seed: int, purpose: str, position: int) -> list[int]:
        return passages[3].reading(generator(seed, purpose, position)).inputs["input_ids"].tolist()

    before = passages[3].inputs["input_ids"].copy()
    assert read(0, "reading", 1) == read(0, "reading", 1)
    others = [read(0, "reading", 2), read(1, "reading", 1), read(0, "evaluation", 0)]
    assert read(0, "reading", 1) not in others
    assert (passages[3].inputs["input_ids"] == before).all()
    assert "masked" not in passages[3].inputs


def test_the_mask_of_an_update_depends_on_the_update_alone(passages: list[Passage]) -> None:
    def batches() -> Batches:
        return Batches(passages[:20], batch_size=8, seed=0, slots=999, pad_id=0, device=torch.device("cpu"))

    def read(batch: Batch) -> list[list[int]]:
        return [row.tolist() for part in batch.parts for row in part["input_ids"]]

    one, other = batches(), batches()
    assert [read(one[update]) for update in (1, 2, 5)][2] == read(other[5])  # without the updates before
    epochs = [sorted(read(one[update])[0] for update in range(first, first + 3)) for first in (1, 4)]
    assert epochs[0] != epochs[1]  # the same passages, masked anew


def test_metrics_by_hand(passages: list[Passage]) -> None:
    task = declared.task("mlm", max_length=64, masking=0.15)
    read = [passage.reading(generator(0, "evaluation", 0)) for passage in passages[:2]]
    right = np.full((2, 10), -2.0)
    right[0, :5] = -1.0
    likeliest = np.full((2, 10), -1.0)
    likeliest[1, 0] = -2.0
    scored = task.score([], read, [(right[0], likeliest[0]), (right[1], likeliest[1])], "l4", "microtext")
    assert scored.metrics == {"accuracy": 30.0, "loss": 1.75}  # 6 of 20; 5 · 1 and 15 · 2 nats
    assert [entry["loss"] for entry in scored.predictions] == [1.5, 2.0]
    with pytest.raises(RunError, match=r"train\.lr"):
        task.score([], read[:1], [(right[0] - np.inf, likeliest[0])], "l4", "microtext")


SMALL = {
    "vocab_size": 701,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
ARCHITECTURES = {
    "BERT": (BertForMaskedLM, BertConfig(**SMALL)),
    "XLM-R": (XLMRobertaForMaskedLM, XLMRobertaConfig(**SMALL, pad_token_id=0)),
    "DeBERTa-v2": (
        DebertaV2ForMaskedLM,
        DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    ),
}


def published_and_ours(name: str, folder: Path) -> tuple[PreTrainedModel, Any]:
    """A random model with its head as transformers publishes it, and the same one as we load it."""
    kind, config = ARCHITECTURES[name]
    torch.manual_seed(0)
    published = kind(config).eval()
    for parameter in published.parameters():  # biases and norms as well, which start as zeros and ones
        torch.nn.init.normal_(parameter, std=0.3)
    published.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(world.folder("encoder") / file, folder)
    ours = load_encoder(f"folder:{folder}").module
    MaskedLMHead().add_to(ours, "th")
    return published, ours.eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_head_and_loss_are_those_of_the_published_model(name: str, passages: list[Passage], tmp_path: Path) -> None:
    """Against transformers' own model, which computes logits of all tokens, and the mean loss over the masked ones."""
    published, ours = published_and_ours(name, tmp_path)
    head = MaskedLMHead()
    batch = collate([passage.reading(generator(0, "reading", 1)) for passage in passages[:3]], pad_id=0)
    masked = batch["masked"].bool()
    labels = torch.full_like(batch["input_ids"], -100).masked_scatter(masked, batch["labels"])
    with torch.no_grad():
        expected = published(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels)
        outputs = forward(ours, batch)
    assert torch.allclose(outputs.logits.flatten(0, 1), expected.logits[masked], atol=1e-4)
    nll = head.predictive(outputs, batch).nll(batch["labels"])
    assert nll.sum().item() / batch["labels"].numel() == pytest.approx(expected.loss.item(), rel=1e-5)
    right, likeliest = head.logits(outputs, batch)
    assert torch.allclose(-right.sum(dim=1), nll, atol=1e-5)
    assert torch.equal(likeliest == right, outputs.logits.argmax(dim=2) == batch["labels"])


def test_a_published_head_stays_frozen_and_a_new_one_trains() -> None:
    module = load_encoder("world").module
    embeddings = module.base_model.embeddings.word_embeddings.weight

    def trains(name: str) -> set[bool]:
        MaskedLMHead().add_to(module, name)
        assert module.heads[name][3].weight is embeddings
        return {parameter.requires_grad for parameter in module.heads[name].parameters() if parameter is not embeddings}

    assert trains("th") == {False}
    module.delete_head("default")
    assert trains("new") == {True}


def test_the_invertible_block_is_undone_before_the_word_embeddings(passages: list[Passage], tmp_path: Path) -> None:
    published, ours = published_and_ours("BERT", tmp_path)
    ours.add_adapter("th", config=SeqBnInvConfig(reduction_factor=2))
    ours.set_active_adapters("th")
    block = ours.base_model.invertible_adapters["th"]
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batch = collate([passage.reading(generator(0, "reading", 1)) for passage in passages[:2]], pad_id=0)
    with torch.no_grad():
        hidden = ours.base_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        one, two = published.cls.predictions.transform(hidden).chunk(2, dim=2)
        two = two - block.G(one)  # NICE (Dinh et al., 2015), backwards
        one = one - block.F(two)
        expected = published.cls.predictions.decoder(torch.cat([one, two], dim=2))
        found = forward(ours, batch).logits
    assert torch.allclose(found.flatten(0, 1), expected[batch["masked"].bool()], atol=1e-4)


def test_held_out_documents_do_not_depend_on_the_budget(tmp_path: Path) -> None:
    (tmp_path / "xx.txt").write_text("\n\n".join(f"document {n}" for n in range(50)), encoding="utf-8")

    def read(split: str, sample: Sample) -> list[str]:
        return [row["text"] for row in FolderText(tmp_path, sample).rows("text", "xx", split)]

    small, large = Sample(5, 2 * 10), Sample(5, 9 * 10)
    assert read("validation", small) == read("validation", large)
    assert read("test", small) == read("test", large)
    assert len(read("train", small)) == 20
    assert set(read("train", small)) < set(read("train", large))
    parts = [set(read(split, large)) for split in ("validation", "test", "train")]
    assert [len(part) for part in parts] == [5, 5, 40]
    assert set.union(*parts) == {f"document {n}" for n in range(50)}
    with pytest.raises(
        ConfigError, match=r"found 50 documents, expected more than 2 · 25 .* task\.validation_examples"
    ):
        read("train", Sample(held_out=25, training=10))


def test_keys_name_content_and_part_but_no_place(tmp_path: Path) -> None:
    sample = Sample(5, 20)
    for name in ("here", "there"):
        (tmp_path / name / "xx").mkdir(parents=True)
        (tmp_path / name / "xx/a.txt").write_text("one\ntwo", encoding="utf-8")
    here, there = (FolderText(tmp_path / name, sample) for name in ("here", "there"))
    assert here.key("text", "xx", "train") == there.key("text", "xx", "train")
    assert here.key("text", "xx", "train").endswith("/shuffled[10:30]")
    assert here.key("text", "xx", "train") != here.key("text", "xx", "test")
    (tmp_path / "there/xx/b.txt").write_text("three", encoding="utf-8")
    assert here.key("text", "xx", "train") != there.key("text", "xx", "train")
    with pytest.raises(ConfigError, match=r"no text in yy: expected yy\.txt or yy/\*\.txt"):
        here.key("text", "yy", "train")
    wikipedia = compose(["task=mlm", "lang=th", "model=mbert"])
    assert run_id(wikipedia) != run_id(compose(["task=mlm", "lang=it", "model=mbert"]))
    assert WorldText(sample).key("microtext", "l1", "train") != WorldText(sample).key("microtext", "l2", "train")


def test_fisher_information_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"track\.fisher_every follows a task adapter, and task=mlm trains none"):
        compose([*MLM, "track.fisher_every=10"])


READ = """
import json, sys
from fun.errors import FunError
from fun.data.corpora import HubText, Sample
text = HubText(Sample(held_out=3, training=20))
print(json.dumps([row["text"] for split in ("validation", "test", "train") for row in text.rows("wikipedia", "xx", split)]))
try:
    text.rows("wikipedia", "yy", "train")
except FunError as error:
    print(type(error).__name__, error)
"""


def test_wikipedia_is_read_by_id(tmp_path: Path) -> None:
    folder = revision_folder(tmp_path / "hub", "datasets", "wikimedia/wikipedia") / "20231101.xx"
    folder.mkdir(parents=True)
    for shard in range(2):
        articles = [{"id": str(n), "url": "", "title": f"{n}", "text": f"article {n}"} for n in range(shard, 30, 2)]
        pd.DataFrame(articles).to_parquet(folder / f"train-{shard:05}-of-00002.parquet", row_group_size=4)
    with HubStandin(tmp_path / "hub") as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    read, missing = done.stdout.splitlines()
    articles = [f"article {n}" for shard in range(2) for n in range(shard, 30, 2)]
    drawn = np.random.RandomState(SUBSET_SEED).permutation(30).tolist()
    assert json.loads(read) == [articles[n] for part in (drawn[:3], drawn[3:6], drawn[6:26]) for n in sorted(part)]
    assert "ConfigError wikipedia (yy): wikimedia/wikipedia@main has no 20231101.yy/*.parquet" in missing


MLM = ("task=mlm", "lang=l8", "train.updates=30", "train.batch_size=32", "train.eval_every=15")


def copa() -> tuple[str, ...]:
    """A run that is tested in l8 under that adapter."""
    origin = f"language_adapters.l8=run:{run_id(compose(MLM))}"
    return (
        "task=copa",
        "schedule=std",
        "train.updates=6",
        "train.batch_size=8",
        "evaluate.languages=[en,l3,l8]",
        origin,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, dict[str, Any], str]:
    """A language adapter from nothing, between two runs of a task that reads it; the task's first record and log."""
    cli = Cli(tmp_path_factory.mktemp("trained") / "results")
    before = cli(*copa()).stderr
    (first,) = cli.records().values()
    cli(*MLM)
    return cli, first, before


def of_task(cli: Cli, task: str) -> tuple[Path, dict[str, Any]]:
    (file,) = cli.results.glob(f"runs/{task}/*/*/record.json")
    return file.parent, json.loads(file.read_text())


def transfer(cli: Cli, origin: str, seed: int) -> float:
    """COPA's zero-shot accuracy in l8, of a run whose language adapter of l8 comes from `origin`."""
    typed = ("task=copa", "schedule=std", f"seed={seed}", "evaluate.languages=[l8]", f"language_adapters.l8={origin}")
    cli(*typed)
    return float(metrics_of(cli.records()[cli.preview(*typed)["run_id"]])["microcopa"]["l8"]["accuracy"])


def untrained(folder: Path, seed: int) -> str:
    """Origin of the language adapter that the run of l8 starts from, saved in `folder`."""
    config = compose([*MLM, f"seed={seed}"])
    build_model(config).save(folder)
    return f"folder:{folder}"


ENGLISH = f"folder:{world.folder('adapters/en')}"


def test_a_language_adapter_is_a_run_whose_loss_falls(trained: tuple[Cli, dict[str, Any], str]) -> None:
    cli, _, _ = trained
    folder, record = of_task(cli, "mlm")
    losses = [entry["metrics"]["loss"] for entry in record["validation"]]
    assert losses == sorted(losses, reverse=True)
    untrained = json.loads((folder / "metrics.jsonl").read_text().splitlines()[1])
    assert untrained["update"] == 1
    assert losses[-1] < untrained["loss"] - 1
    metrics = metrics_of(record)["microtext"]["l8"]
    assert metrics["loss"] == pytest.approx(losses[-1], abs=0.3)
    table = pd.read_parquet(folder / "predictions/microtext.l8.parquet")
    assert table["loss"].mean() == pytest.approx(metrics["loss"])
    assert table["accuracy"].mean() == pytest.approx(metrics["accuracy"])
    assert [stage["update"] for stage in record["stages"]] == [1]
    assert cli.preview(*MLM)["state"] == "done"


def test_its_artifact_is_a_plain_language_adapter_without_a_head(trained: tuple[Cli, dict[str, Any], str]) -> None:
    folder, record = of_task(trained[0], "mlm")
    assert sorted(path.name for path in (folder / "adapter").iterdir()) == [
        "adapter.safetensors",
        "adapter_config.json",
    ]
    assert {name for name in record["files"] if name.startswith("adapter/")} == {
        "adapter/adapter.safetensors",
        "adapter/adapter_config.json",
    }
    model = AutoAdapterModel.from_pretrained(world.folder("encoder"))
    assert model.load_adapter(str(folder / "adapter"), use_safetensors=True) == "l8"
    shipped = load_file(world.folder("adapters/l7") / "adapter.safetensors")
    found = load_file(folder / "adapter/adapter.safetensors")
    assert {name.replace(".l8.", ".l7."): tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in shipped.items()
    }
    assert any(".invertible_adapters.l8." in name for name in found)
    loaded = dict(model.named_parameters())
    assert all(torch.equal(loaded[name], tensor) for name, tensor in found.items())


def test_a_missing_language_adapter_is_a_gap_that_the_same_command_fills(
    trained: tuple[Cli, dict[str, Any], str],
) -> None:
    cli, first, before = trained
    mlm, _ = of_task(cli, "mlm")
    run_id = mlm.name.rpartition("-")[2]
    assert list(metrics_of(first)["microcopa"]) == ["en", "l3"]
    assert "not evaluated" in before
    assert run_id in before
    shown = cli(*copa()).stderr
    assert "evaluating that" in shown
    assert "not evaluated" not in shown
    _, second = of_task(cli, "copa")
    assert second["run_id"] == first["run_id"]
    assert second["evaluations"]["microcopa"]["l8"]["keys"]["language_adapter"] == f"run:{run_id}"
    assert list(metrics_of(second)["microcopa"]) == ["en", "l3", "l8"]
    assert {language: metrics_of(second)["microcopa"][language] for language in ("en", "l3")} == metrics_of(first)[
        "microcopa"
    ]
    assert second["files"]["adapter/adapter.safetensors"] == first["files"]["adapter/adapter.safetensors"]


@pytest.mark.long
def test_transfer_rises_over_seeds(cli: Cli, tmp_path: Path) -> None:
    """COPA in l8, which the encoder has never seen: an adapter trained from nothing against the one it started from,
    and against English kept (fun/world/README.md has the figures)."""
    found: dict[str, list[float]] = {"trained": [], "untrained": [], "en": []}
    for seed in range(4):
        cli(*MLM, f"seed={seed}")
        run_id = cli.preview(*MLM, f"seed={seed}")["run_id"]
        found["trained"].append(transfer(cli, f"run:{run_id}", seed))
        found["untrained"].append(transfer(cli, untrained(tmp_path / f"untrained{seed}", seed), seed))
        found["en"].append(transfer(cli, ENGLISH, seed))
    table = pd.DataFrame(found)
    print(table, table.agg(["mean", "std", "count"]), sep="\n")
    for other in ("untrained", "en"):
        rise = table["trained"] - table[other]
        assert rise.mean() - 3.18 * rise.std() / 2 > 0  # the 95 % interval of the mean of 4 (Student's t)


@pytest.mark.long
def test_a_killed_run_resumes_exactly(tmp_path: Path) -> None:
    run = ("task=mlm", "lang=l1", "train.updates=12", "train.eval_every=6", "train.batch_size=8", "checkpoint.every=4")
    undisturbed, killed = Cli(tmp_path / "undisturbed"), Cli(tmp_path / "killed")
    undisturbed(*run)
    process = killed.start(*run)
    wait_for_update(killed, 6)
    process.kill()
    process.communicate()
    assert "resuming after update" in killed(*run).stderr
    expected_folder, expected = only(undisturbed)
    folder, record = only(killed)
    assert outcome(record) == outcome(expected)
    assert steps(folder) == steps(expected_folder)


def test_on_real_text_the_loss_falls(tmp_path: Path) -> None:
    """XQuAD's German paragraphs by data.root, read by a tiny random DeBERTa-v2 with a tokenizer of the real type.

    As mDeBERTa it has no head that was published, so that a new one trains: nothing random stands in the way.
    """
    articles = json.loads((real_data() / "xquad/xquad.de.json").read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    assert len(paragraphs) == 240
    (tmp_path / "text/de").mkdir(parents=True)
    (tmp_path / "text/de/xquad.txt").write_text("\n".join(p.replace("\n", " ") for p in paragraphs), encoding="utf-8")
    encoder = tiny_models.deberta(tmp_path / "encoder", paragraphs)
    cli = Cli(tmp_path / "results")
    cli("task=mlm", "lang=de", "model=mdeberta", f"model.source=folder:{encoder}", f"data.root={tmp_path / 'text'}",
        "task.validation_examples=20", "task.max_length=64", "train.updates=30", "train.eval_every=10",
        "train.batch_size=16", "train.lr=0.05")  # fmt: skip
    _, record = only(cli)
    losses = [entry["metrics"]["loss"] for entry in record["validation"]]
    assert losses[-1] < losses[0] - 0.3
    assert list(metrics_of(record)["text"]) == ["de"]
    assert str(tmp_path) not in json.dumps([record["identity"], record["inputs"]])


def test_a_language_adapter_with_two_outcomes_is_not_read(tmp_path: Path) -> None:
    trained = compose(("task=mlm", "model=micro", "lang=l1"))
    run = synthetic.write_run(tmp_path, trained, {"microtext": {"l1": {"accuracy": 50.0}}}, marks=())
    assert done_run(tmp_path, run.run_id, "mlm") == run
    synthetic.copy_with_other_values(run)
    with pytest.raises(Damaged, match="Remove all but one"):
        done_run(tmp_path, run.run_id, "mlm")
