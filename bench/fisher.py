"""What an exact, per-example tr(F) costs: beside a plain forward + backward, and beside a loop over examples.

    python -m bench.fisher                                # small, CPU
    python -m bench.fisher --layers 12 --hidden 768 --batch 32 --length 128 --device cuda

All are measured in turn within each round, so that a machine that speeds up or slows down meets all of them
alike; the table shows medians over rounds, of the times and of the ratios within a round.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from adapters import AutoAdapterModel, LoRAConfig, SeqBnConfig, SeqBnInvConfig
from adapters.composition import Stack
from torch import Tensor, nn
from transformers import BertConfig

from fun.fisher import Algorithm2, Exact
from fun.models.blocks import Block, task_blocks
from fun.models.heads import ClassificationHead, predict

HEAD = ClassificationHead(num_labels=3, layers=2, use_pooler=False)


@dataclass(frozen=True)
class Batch:
    size: int
    parts: list[dict[str, Tensor]]


def build(arguments: argparse.Namespace) -> nn.Module:
    config = BertConfig(
        vocab_size=1000,
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 64),
        intermediate_size=4 * arguments.hidden,
    )
    model: Any = AutoAdapterModel.from_config(config)
    model.add_adapter("en", config=SeqBnInvConfig(reduction_factor=2))
    model.add_adapter("task", config=LoRAConfig(init_weights="bert") if arguments.lora else SeqBnConfig())
    HEAD.add_to(model, "task")
    model.train_adapter("task")
    model.set_active_adapters(Stack("en", "task"))
    module: nn.Module = model.to(arguments.device).eval()
    return module


def random_batch(arguments: argparse.Namespace) -> Batch:
    shape = (arguments.batch, arguments.length)
    ids = torch.randint(5, 1000, shape)
    mask = torch.ones(shape, dtype=torch.int64)
    part = {"input_ids": ids.to(arguments.device), "attention_mask": mask.to(arguments.device)}
    return Batch(arguments.batch, [part])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def plain(model: nn.Module, blocks: dict[int, Block], batch: Batch) -> None:
    """Forward and backward of the batch-mean NLL, to all task adapter parameters: what an update costs."""
    predictive = predict(model, HEAD, batch.parts[0])
    loss = predictive.nll(predictive.sample(generator())).mean()
    torch.autograd.grad(loss, [parameter for block in blocks.values() for parameter in block.values()])


def loop(model: nn.Module, blocks: dict[int, Block], batch: Batch) -> dict[int, float]:
    """Eq. 1 by one forward and backward per example."""
    labels = generator()
    totals = dict.fromkeys(blocks, 0.0)
    for row in range(batch.size):
        predictive = predict(model, HEAD, {name: tensor[[row]] for name, tensor in batch.parts[0].items()})
        loss = predictive.nll(predictive.sample(labels)).sum()
        owners = [(layer, parameter) for layer, block in blocks.items() for parameter in block.values()]
        gradients = torch.autograd.grad(loss, [parameter for _, parameter in owners])
        for (layer, _), gradient in zip(owners, gradients, strict=True):
            totals[layer] += gradient.square().sum().item()
    return {layer: total / batch.size for layer, total in totals.items()}


def seconds(work: Callable[[], object], device: str) -> float:
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lora", action="store_true", help="LoRA in place of a bottleneck adapter")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model, batch = build(arguments), random_batch(arguments)
    blocks = task_blocks(model, "task")
    ways: dict[str, Callable[[], object]] = {
        "plain forward + backward": lambda: plain(model, blocks, batch),
        "algorithm2": lambda: Algorithm2().score(model, HEAD, blocks, [batch], generator()),
        "exact": lambda: Exact().score(model, HEAD, blocks, [batch], generator()),
        "loop over examples": lambda: loop(model, blocks, batch),
    }
    exact, looped = Exact().score(model, HEAD, blocks, [batch], generator()), loop(model, blocks, batch)
    difference = max(abs(exact[layer] / looped[layer] - 1) for layer in blocks)

    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, work in ways.items():
            times[name].append(seconds(work, arguments.device))
    base = times["plain forward + backward"]
    for name, measured in times.items():
        ratio = statistics.median(mine / other for mine, other in zip(measured, base, strict=True))
        print(f"{name:26} {1000 * statistics.median(measured):9.1f} ms  {ratio:6.2f} x plain")
    print(f"exact against the loop: largest relative difference {difference:.1e}")


if __name__ == "__main__":
    main()
