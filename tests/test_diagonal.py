"""The diagonal Fisher against closed forms, enumeration and slow loops; the Fréchet distance; Fishers as runs."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertForMaskedLM

from fun import world
from fun.errors import ConfigError
from fun.fisher.diagonal import add_squares, read, write
from fun.fisher.frechet import distances, squared_distance
from fun.inputs import Rows, compose, run_id, source, training_inputs
from fun.models.files import FISHER
from fun.models.heads import MaskedLMHead, predict
from fun.models.task_model import TaskModel
from fun.randomness import generator
from fun.tasks.fisher import FisherTask
from fun.training.batches import Batches
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.estimation import Estimation
from tests.conftest import Cli, outcome
from tests.test_mlm import published_and_ours
from tests.test_resume import wait_for_update

# --- the estimator ---


def expectation(weights: Tensor, inputs: Tensor, size: int) -> Tensor:
    """E[B · ḡ²] for softmax regression, over all labels of all batches of `size` examples, by `add_squares`."""
    parameter = nn.Parameter(weights.clone())
    total = torch.zeros_like(weights)
    batches = inputs.split(size)
    for batch in batches:
        for labels in itertools.product(range(len(weights)), repeat=size):
            log_p = (batch @ parameter.T).log_softmax(1)[range(size), list(labels)]
            (-log_p.mean()).backward()
            sums = {"w": torch.zeros_like(weights)}
            add_squares(sums, {"w": parameter}, size)
            assert parameter.grad is None
            total += sums["w"] * log_p.sum().exp().detach()
    return total / len(batches)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_expected_squares_are_the_fisher_of_softmax_regression_at_every_batch_size(size: int) -> None:
    torch.manual_seed(0)
    weights, inputs = torch.randn(3, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    p = (inputs @ weights.T).softmax(1)
    closed = torch.einsum("nc,nd->cd", p * (1 - p), inputs.square()) / len(inputs)  # mean p_c (1 - p_c) x_d²
    torch.testing.assert_close(expectation(weights, inputs, size), closed, rtol=1e-12, atol=1e-15)


class Journal:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def log(self, line: Any) -> None:
        self.lines.append(dict(line))

    def save(self, checkpoint: Checkpoint) -> None:
        raise AssertionError("nobody asked for a checkpoint")


def estimation(source: str = "world", **typed: object) -> Estimation:
    """Of a few blocks of the miniature world's text, in float64."""
    fields = {"task.max_length": 32, "task.blocks": 6, **typed}
    config = compose(["task=fisher", "lang=l2", *(f"{field}={value}" for field, value in fields.items())])
    task = config.task
    assert isinstance(task, FisherTask)
    head = task.head(layers=1, pooler=False)
    model = TaskModel(source, config.adapter, head, name="l2", language_adapters={}, init_seed=0)
    model.activate("l2")
    model.module.double()
    rows = [{"text": text} for text in world.load_text("l2")[:60]]
    blocks = task.encode(rows, AutoTokenizer.from_pretrained(world.folder("encoder")), "en")[:9]
    size = task.batch_size
    batches = Batches(blocks, batch_size=size, seed=0, slots=32 * size, pad_id=0, device=torch.device("cpu"))
    return Estimation(config, task, model, batches, Journal(), Progress())


def test_the_fisher_is_a_loop_over_single_blocks_and_leaves_the_model_as_it_was() -> None:
    estimated = estimation()
    model, head = estimated.model.module, MaskedLMHead()
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.train()
    state = torch.random.get_rng_state()
    estimated.run()
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert flags == {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()
    held = estimated.parameters
    for parameter in held.values():
        parameter.requires_grad_(True)
    expected = {name: torch.zeros_like(parameter.detach()) for name, parameter in held.items()}
    for position in range(1, 7):
        (part,) = estimated.batches[position].parts
        predictive = predict(model, head, part)
        labels = predictive.sample(generator(0, "fisher labels", position))
        chosen = predictive.log_p[0, range(labels.shape[1]), labels[0]]
        gradients = torch.autograd.grad(chosen.sum(), list(held.values()), allow_unused=True)
        for name, gradient in zip(held, gradients, strict=True):
            if gradient is not None:
                expected[name] += gradient.square()
    for name, wanted in expected.items():
        torch.testing.assert_close(estimated.sums[name], wanted, rtol=1e-10, atol=1e-18)
        assert (wanted.sum() > 0) == (".pooler." not in name)  # which this objective does not reach


def test_tied_embeddings_and_observed_labels_as_transformers_own_model_has_them(tmp_path: Path) -> None:
    published, _ = published_and_ours("BERT", tmp_path)
    assert isinstance(published, BertForMaskedLM)
    typed = {"task.labels": "observed", "model.layers": 2, "model.positions": 512}
    estimated = estimation(f"folder:{tmp_path}", **typed)
    estimated.run()
    published.double().eval()
    theirs = dict(published.named_parameters())
    expected: dict[str, Any] = dict.fromkeys(estimated.sums, 0.0)
    for position in range(1, 7):
        (part,) = estimated.batches[position].parts
        labels = torch.full_like(part["input_ids"], -100).masked_scatter(part["masked"].bool(), part["labels"])
        loss = published(input_ids=part["input_ids"], attention_mask=part["attention_mask"], labels=labels).loss
        (loss * part["labels"].numel()).backward()
        for name in expected:
            expected[name] = expected[name] + theirs[name].grad.square()
        published.zero_grad()
    assert published.cls.predictions.decoder.weight is theirs["bert.embeddings.word_embeddings.weight"]
    for name, total in estimated.sums.items():
        torch.testing.assert_close(total, expected[name], rtol=1e-9, atol=1e-15)


def test_observed_labels_are_another_quantity_and_batches_of_them_are_refused() -> None:
    sampled, observed = estimation(), estimation(**{"task.labels": "observed"})
    sampled.run()
    observed.run()
    name = "bert.encoder.layer.3.output.dense.weight"
    assert not torch.allclose(sampled.sums[name], observed.sums[name], rtol=0.1)
    with pytest.raises(ConfigError, match=r"type task\.batch_size=1, or task\.labels=sampled"):
        estimation(**{"task.labels": "observed", "task.batch_size": 2})


@pytest.mark.long
def test_another_batch_size_estimates_the_same_fisher() -> None:
    """Layer by layer, within three times the noise √(2/K) of a single parameter at K = 32 batches of 4 blocks."""
    single, batched = (estimation(**{"task.blocks": 128, "task.batch_size": size}) for size in (1, 4))
    for estimated in (single, batched):
        estimated.run()
    layers = [
        {layer: sum(t.sum().item() for n, t in estimated.sums.items() if f".layer.{layer}." in n) / estimated.task.batches
         for layer in range(12)}
        for estimated in (single, batched)
    ]  # fmt: skip
    for layer, trace in layers[0].items():
        assert layers[1][layer] == pytest.approx(trace, rel=3 * math.sqrt(2 / 32))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("task=fisher",), "type lang=…"),
        (("task=fisher", "lang=l1", "adapter=madx"), "leave adapter out"),
        (("task=fisher", "lang=l1", "regularizer=l2", "regularizer.strength=1"), "leave it out"),
        (("task=fisher", "lang=l1", "precision=bf16"), "type precision=fp32"),
    ],
)
def test_what_no_fisher_run_could_do_is_refused(typed: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        compose(typed)


def test_the_text_of_a_test_set_is_its_premises_and_hypotheses() -> None:
    config = compose(["task=fisher", "lang=l3", "task.corpus=xnli"])
    (rows,) = [each for each in training_inputs(config) if isinstance(each, Rows)]
    pairs = world.load_split("mnli", "l3", "test")
    read_rows = source(config).rows(rows.dataset, "l3", "train")
    assert [row["text"] for row in read_rows] == [row[side] for row in pairs for side in ("premise", "hypothesis")]
    assert rows.name == "micronli.l3.train"
    assert run_id(config) != run_id(compose(["task=fisher", "lang=l3"]))


# --- the distance ---


def two() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    names = ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight")
    first, second = ({name: torch.rand(3, 2, dtype=torch.float64) for name in names} for _ in range(2))
    return first, second


def by_matrices(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Eq. 3 as it stands, of matrices with unit trace."""
    a, b = (np.diag(torch.cat([t.flatten() for t in fisher.values()]).numpy()) for fisher in (first, second))
    a, b = a / np.trace(a), b / np.trace(b)
    return float(np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b))) / 2)


def test_the_distance_is_that_of_the_matrices() -> None:
    first, second = two()
    found = squared_distance(first, second)
    assert found == pytest.approx(by_matrices(first, second), abs=1e-12)
    a, b = (torch.cat([t.flatten() for t in fisher.values()]) for fisher in (first, second))
    assert found == pytest.approx(1 - ((a / a.sum()) * (b / b.sum())).sqrt().sum().item(), abs=1e-12)
    assert squared_distance(second, first) == pytest.approx(found, abs=1e-15)
    scaled = {name: 1e-9 * tensor for name, tensor in second.items()}
    assert squared_distance(first, scaled) == pytest.approx(found, abs=1e-12)
    assert squared_distance(first, first) == 0
    disjoint = [{"x": torch.tensor(values)} for values in ([3.0, 0.0], [0.0, 5.0])]
    assert squared_distance(*disjoint) == pytest.approx(1)


def test_distances_of_two_files_that_compare(tmp_path: Path) -> None:
    about = {"language": "fr", "text": "a", "labels": "sampled", "blocks": 8}
    first, second = two()
    write(first, tmp_path / "fr", about)
    for _ in range(4):  # entries of metadata have no order of their own in the library
        write(first, tmp_path / "again", about)
        assert (tmp_path / "again").read_bytes() == (tmp_path / "fr").read_bytes()
    write(second, tmp_path / "en", about | {"language": "en", "text": "b"})
    found = distances(tmp_path / "fr", tmp_path / "en")
    assert found.squared == pytest.approx(by_matrices(first, second), abs=1e-12)
    assert found.distance == math.sqrt(found.squared)
    layers = [{name: t for name, t in fisher.items() if "layer.0" in name} for fisher in (first, second)]
    assert found.squared_in_layers == pytest.approx(by_matrices(*layers), abs=1e-12)
    write(second, tmp_path / "other", about | {"labels": "observed"})
    with pytest.raises(ConfigError, match="labels is sampled and observed"):
        distances(tmp_path / "fr", tmp_path / "other")


# --- runs ---

SMALL = ("task=fisher", "task.blocks=24", "task.max_length=32", "task.batch_size=2")
EWC = ("task=copa", "adapter=full", "schedule=std", "train.updates=4", "train.eval_every=2", "train.batch_size=8",
       "evaluate.languages=[en]", "regularizer.strength=0.5")  # fmt: skip


@pytest.fixture(scope="module")
def fishers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, dict[str, dict[str, Any]]]:
    """Two Fishers from the command line: language -> record."""
    cli = Cli(tmp_path_factory.mktemp("fishers") / "results")
    for language in ("l1", "l2"):
        cli(*SMALL, f"lang={language}")
    return cli, {record["config"]["lang"]: record for record in cli.records().values()}


def test_a_fisher_is_an_artifact_with_what_it_is_in_its_file(fishers: tuple[Cli, dict[str, dict[str, Any]]]) -> None:
    cli, records = fishers
    for language, record in records.items():
        (file,) = cli.results.glob(f"runs/fisher/micro/*{record['run_id']}/{FISHER}")
        fisher, about = read(file)
        assert record["kind"] == "artifact"
        assert FISHER in record["files"]
        assert set(record["inputs"]) == {"encoder", "mlm_head", f"microtext.{language}.train"}
        assert about["language"] == language
        assert about["encoder"] == record["inputs"]["encoder"]
        assert (about["labels"], about["blocks"], about["batch_size"]) == ("sampled", 24, 2)
        assert all(torch.isfinite(tensor).all() and tensor.dtype == torch.float32 for tensor in fisher.values())
        assert not [name for name in fisher if name.startswith("heads.")]
    one, other = (next(cli.results.glob(f"runs/fisher/micro/*{r['run_id']}/{FISHER}")) for r in records.values())
    assert 0 < distances(one, other).squared < 1


def test_a_killed_fisher_run_ends_with_the_same_bits(fishers: tuple[Cli, dict[str, dict[str, Any]]], cli: Cli) -> None:
    run = (*SMALL, "lang=l2", "checkpoint.minutes=0.0001")
    process = cli.start(*run)
    wait_for_update(process, cli, 6)
    process.kill()
    process.communicate()
    assert re.search(r"resuming after update ([5-9]|1\d) of 12", cli(*run).stderr)
    (record,) = cli.records().values()
    assert outcome(record) == outcome(fishers[1]["l2"])


def test_ewc_names_its_fishers_first_and_then_holds_by_them(fishers: tuple[Cli, dict[str, dict[str, Any]]]) -> None:
    cli, records = fishers
    lacking = cli(*EWC, "regularizer=ewc", "regularizer.languages=[l1]", status=2).stderr
    assert "the Fisher of l1 is not there yet: type python -m fun.run task=fisher lang=l1 model=micro first" in lacking
    typed = (*EWC, "regularizer=ewc", "regularizer.languages=[l1]")
    maker, reader = json.loads(cli("plan", *typed, "--json", module="reproduce").stdout)
    assert maker["command"] == "python -m fun.run task=fisher lang=l1 model=micro"
    assert reader["producers"] == [maker["run_id"]]
    origins = [f"+regularizer.origins.{language}=run:{record['run_id']}" for language, record in records.items()]
    wrong = cli(*EWC, "regularizer=ewc", "regularizer.languages=[l3]", origins[0].replace(".l1=", ".l3="), status=2)
    assert "is not the Fisher of l3 for this encoder" in wrong.stderr
    ends = {}
    for name, typed in {
        "none": [item for item in EWC if not item.startswith("regularizer")],
        "l2": [*EWC, "regularizer=l2"],
        "ewc": [*EWC, "regularizer=ewc", "regularizer.languages=[l1,l2]", *origins],
    }.items():
        before = cli.records().keys()
        cli(*typed)
        ((_, record),) = [item for item in cli.records().items() if item[0] not in before]
        (folder,) = cli.results.glob(f"runs/copa/micro/*{record['run_id']}")
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        ends[name] = [line for line in lines if line["kind"] == "validation"][-1]
        assert {key for key in record["inputs"] if key.startswith("fisher.")} == (
            {"fisher.l1", "fisher.l2"} if name == "ewc" else set()
        )
        assert folder.name.startswith(
            {"none": "full-std-full", "l2": "full-std-l2-lambda0.5-full"}.get(name, "full-std-ewc-l1-l2-")
        )
    assert "penalty" not in ends["none"]
    for name in ("l2", "ewc"):
        assert ends[name]["distance"] > 0 < ends[name]["penalty"]
    assert ends["l2"]["penalty"] == pytest.approx(0.25 * ends["l2"]["distance"] ** 2)
