"""What holding an encoder costs: an update with L2 and with EWC beside one without, and a Fisher beside plain passes.

    python -m bench.regularizer                                        # small, CPU
    python -m bench.regularizer --layers 12 --hidden 768 --vocabulary 119547 --batch 32 --length 128 --device cuda

All are measured in turn within each round, so that a machine that speeds up or slows down meets all of them alike; the
table shows medians over rounds, of the times and of the ratios within a round.
"""

import argparse
import resource
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch
from adapters import AutoAdapterModel
from torch import Tensor, nn
from transformers import BertConfig

from bench.fisher import seconds
from fun.fisher.diagonal import add_squares
from fun.methods.anchor import Anchored
from fun.models.heads import ClassificationHead, Head, MaskedLMHead, predict
from fun.training.optimizer import optimizer

PAIRS = ClassificationHead(num_labels=3, layers=1, use_pooler=True)


def build(arguments: argparse.Namespace, head: Head) -> nn.Module:
    config = BertConfig(
        vocab_size=arguments.vocabulary,
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 64),
        intermediate_size=4 * arguments.hidden,
    )
    model: Any = AutoAdapterModel.from_config(config)
    head.add_to(model, "task")
    model.active_head = "task"
    module: nn.Module = model.to(arguments.device).train()
    return module


def encoder(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if not name.startswith("heads.")}


def text(arguments: argparse.Namespace, rows: int) -> dict[str, Tensor]:
    """Random tokens, of which 15 % are masked."""
    ids = torch.randint(5, arguments.vocabulary, (rows, arguments.length))
    masked = torch.zeros_like(ids)
    masked[:, 1 : 1 + round(0.15 * arguments.length)] = 1
    labels = ids[masked.bool()].view(rows, -1)
    part = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "masked": masked, "labels": labels}
    return {name: tensor.to(arguments.device) for name, tensor in part.items()}


def updates(arguments: argparse.Namespace) -> tuple[Mapping[str, Callable[[], object]], dict[str, int]]:
    """An update without and with what holds the encoder, and the bytes that each of these keeps."""
    model, part = build(arguments, PAIRS), text(arguments, arguments.batch)
    del part["masked"]
    labels = torch.randint(3, (arguments.batch, 1), device=arguments.device)
    held, parameters = encoder(model), dict(model.named_parameters())
    step = optimizer("adamw", parameters, 2e-5, 0.0)
    weights = {name: torch.rand_like(parameter) for name, parameter in held.items()}
    methods = {"L2": Anchored(held, 0.1), "EWC": Anchored(held, 0.1, weights)}

    def update(method: Anchored | None) -> None:
        predict(model, PAIRS, part).nll(labels).mean().backward()
        if method:
            method.add_gradient(1)
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        step.step()
        step.zero_grad(set_to_none=True)

    size = sum(parameter.numel() * parameter.element_size() for parameter in held.values())
    ways: dict[str, Callable[[], object]] = {"update": lambda: update(None)}
    ways |= {f"update with {name}": lambda method=method: update(method) for name, method in methods.items()}  # type: ignore[misc]
    return ways, {"update with L2": size, "update with EWC": 2 * size}


def passes(arguments: argparse.Namespace) -> tuple[Mapping[str, Callable[[], object]], dict[str, int]]:
    """Forward and backward of so many single blocks, and their squares added up."""
    model, part, head = build(arguments, MaskedLMHead()).eval(), text(arguments, 1), MaskedLMHead()
    held = encoder(model)
    sums = {name: torch.zeros_like(parameter.detach()) for name, parameter in held.items()}
    labels = torch.Generator().manual_seed(0)

    def plain() -> None:
        for _ in range(arguments.blocks):
            predict(model, head, part).nll(part["labels"]).sum().backward()
            model.zero_grad(set_to_none=True)

    def fisher() -> None:
        for _ in range(arguments.blocks):
            predictive = predict(model, head, part)
            predictive.nll(predictive.sample(labels)).sum().backward()
            add_squares(sums, held, 1)
            model.zero_grad(set_to_none=True)

    name, size = f"Fisher of {arguments.blocks} blocks", sum(t.numel() * t.element_size() for t in sums.values())
    return {f"{arguments.blocks} plain passes": plain, name: fisher}, {name: size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=20, help="of a Fisher")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    for measured in (updates, passes):
        ways, kept = measured(arguments)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(arguments.rounds + 1):
            for name, work in ways.items():
                spent = seconds(work, arguments.device)
                if turn:  # the first one fills caches and makes the optimizer's moments
                    times[name].append(spent)
        base = next(iter(times.values()))
        for name, spans in times.items():
            ratio = statistics.median(mine / other for mine, other in zip(spans, base, strict=True))
            keeps = f"  keeps {kept[name] / 1e9:.2f} GB" if name in kept else ""
            print(f"{name:26} {1000 * statistics.median(spans):9.1f} ms  {ratio:6.3f} x{keeps}")
    if arguments.device.startswith("cuda"):
        print(f"peak {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")
    else:
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
