"""Precision: bf16 through the entry point, fp16's gradient scaler in the loop, and which GPU can compute what."""

import copy
import dataclasses
import itertools

import pytest
import torch
from torch.amp import GradScaler

from fun.errors import ConfigError, RunError
from fun.machine.device import gpu_problem, pick_device
from fun.models.task_model import TaskModel
from fun.training.checkpoint import Checkpoint
from fun.training.inference import autocast
from fun.training.loop import SMALLEST_SCALE, Training
from tests.conftest import SHORT, Cli, metrics_of
from tests.test_training import Journal, training

DEFAULT_BUILD = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
OLDER_BUILD = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


@pytest.mark.parametrize(
    ("capability", "architectures", "precision", "problem"),
    [
        ((7, 0), DEFAULT_BUILD, "fp32", "install the cu126 build"),  # V100
        ((7, 0), OLDER_BUILD, "fp32", None),
        ((7, 0), OLDER_BUILD, "fp16", None),
        ((7, 0), OLDER_BUILD, "bf16", "type precision=fp16 or fp32"),
        ((7, 5), DEFAULT_BUILD, "bf16", "type precision=fp16 or fp32"),  # T4
        ((8, 0), DEFAULT_BUILD, "bf16", None),  # A100
        ((8, 9), DEFAULT_BUILD, "bf16", None),  # L40: code for 8.6 runs on 8.9
        ((9, 0), DEFAULT_BUILD, "bf16", None),  # H100
        ((9, 0), ["sm_86"], "fp32", "compute capability 9.0"),  # machine code serves one major version
        ((12, 1), DEFAULT_BUILD, "fp32", None),
        ((13, 0), DEFAULT_BUILD, "fp32", None),  # compute_120 is compiled for what came later
        ((13, 0), ["sm_90", "sm_90a"], "fp32", "it has sm_90, sm_90a"),
        ((10, 3), ["sm_100f"], "fp32", None),  # a family: one major version
        ((9, 1), ["sm_90a"], "fp32", "compute capability 9.1"),
        ((7, 0), [], "fp32", "compute capability 7.0"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_known_from_its_capability(
    capability: tuple[int, int], architectures: list[str], precision: str, problem: str | None
) -> None:
    found = gpu_problem(capability, architectures, precision)
    if problem is None:
        assert found is None
    else:
        assert found is not None
        assert problem in found
        assert "\n" not in found


def test_fp16_is_refused_on_the_cpu() -> None:
    with pytest.raises(ConfigError, match=r"precision=fp16 needs a GPU.*type precision=fp32 or bf16"):
        pick_device("cpu", "fp16")


def test_autocast_computes_as_it_is_called() -> None:
    weight, device = torch.ones(2, 2), torch.device("cpu")
    found = {}
    for precision in ("fp32", "bf16", "fp16"):
        with autocast(device, precision):
            found[precision] = (weight @ weight).dtype
    assert found == {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    for precision in ("bf16", "fp32"):
        loop, _, _ = training(1, typed=[f"precision={precision}"])
        assert loop.scaler.state_dict() == {}


def fp16_training(updates: int, scale: float) -> tuple[Training, TaskModel, Journal]:
    """fp16 on the CPU, which the entry point refuses for its speed, with the scale to begin at."""
    loop, model, journal = training(updates)
    loop.config = loop.config.model_copy(update={"precision": "fp16"})
    loop.scaler = GradScaler("cpu", init_scale=scale)
    return loop, model, journal


def test_steps_that_overflow_are_skipped_and_lower_the_scale() -> None:
    scale = 2.0**20
    loop, model, journal = fp16_training(8, scale)
    states = [model.state()]
    loop.validate = lambda: states.append(model.state()) or {"accuracy": 1.0}  # type: ignore[func-returns-value]
    loop.config = loop.config.model_copy(update={"train": loop.config.train.model_copy(update={"eval_every": 1})})
    loop.run()
    steps = [line for line in journal.lines if line["kind"] == "train"]
    assert [line["update"] for line in steps] == list(range(1, 9))  # a skipped update counts
    skipped = [line for line in steps if "skipped" in line]
    assert 2 <= len(skipped) <= 6
    assert all(line["loss"] is None and line["norm"] is None for line in skipped)
    assert loop.scaler.get_scale() == scale / 2 ** len(skipped)
    for line, (before, after) in zip(steps, itertools.pairwise(states), strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before) == ("skipped" in line)


def test_gradients_are_clipped_by_their_true_norm() -> None:
    """The norm in the log does not depend on the scale: gradients are unscaled before they are clipped."""
    norms = []
    for scale in (2.0, 2.0**12):
        loop, _, journal = fp16_training(1, scale)
        loop.run()
        norms.append(next(line["norm"] for line in journal.lines if line["kind"] == "train"))
    assert norms[0] == pytest.approx(norms[1], rel=0.02)
    loop, _, journal = training(1)
    loop.run()
    assert norms[0] == pytest.approx(journal.lines[1]["norm"], rel=0.02)


def test_fp16_resumes_exactly_with_its_scale() -> None:
    scale = 2.0**20

    def run(loop: Training, journal: Journal) -> list[Checkpoint]:
        loop.config = loop.config.model_copy(
            update={"checkpoint": loop.config.checkpoint.model_copy(update={"every": 5})}
        )
        kept: list[Checkpoint] = []
        # As if written to disk: the loop goes on changing its progress.
        journal.save = lambda checkpoint: kept.append(copy.deepcopy(checkpoint))  # type: ignore[method-assign]
        loop.run()
        return kept

    whole, model, journal = fp16_training(8, scale)
    early = run(whole, journal)[0]
    assert early.progress.update == 5
    assert 2.0**16 != early.scaler["scale"] < scale
    resumed, other, journal = fp16_training(8, 2.0**16)
    resumed.progress = early.progress
    resumed.restore(early)
    run(resumed, journal)
    assert resumed.scaler.state_dict() == whole.scaler.state_dict()
    assert all(torch.equal(value, other.state()[name]) for name, value in model.state().items())


def test_a_scale_that_underflows_fails_the_run() -> None:
    loop, model, journal = fp16_training(6, 4 * SMALLEST_SCALE)
    with torch.no_grad():
        next(iter(model.unscheduled.values())).fill_(torch.nan)
    with pytest.raises(RunError, match="update 3: the loss is nan"):
        loop.run()
    assert [line["update"] for line in journal.lines if "skipped" in line] == [1, 2]


def test_a_checkpoint_without_a_scaler_is_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    loop, _, journal = training(1)
    loop.run()
    content = dataclasses.asdict(journal.checkpoints[-1])
    del content["scaler"]
    torch.save(content, tmp_path / "last.pt")
    assert Checkpoint.read(tmp_path / "last.pt").scaler == {}


def test_bf16_runs_end_to_end_on_the_cpu(cli: Cli) -> None:
    cli("task=copa", *SHORT, "schedule=fun", "precision=bf16", "evaluate.languages=[l1]", "device=cpu")
    (record,) = cli.records().values()
    assert record["config"]["precision"] == "bf16"
    assert set(metrics_of(record)["microcopa"]) == {"l1"}
    assert len(record["stages"]) == 12
