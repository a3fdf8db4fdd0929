"""What a gradient mask costs: an update under each beside one without, and the memory that masking takes meanwhile.

    python -m bench.mask                                                    # small, CPU
    python -m bench.mask --size xlmr-base --batch 32 --length 128 --device cuda

All are measured in turn within each round, so that a machine that speeds up or slows down meets all of them alike; the
table shows medians over rounds, of the times and of the ratios within a round, and memory beside that of the
largest tensor that is masked.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.fisher import seconds
from bench.regularizer import PAIRS, build, text
from fun.methods.graddrop import ElementMask, GradDrop, GradDropEpoch, LayerMask, Masking
from fun.models.blocks import encoder_blocks
from fun.models.heads import predict
from fun.training.optimizer import optimizer

SIZES = {"tiny": (4, 128, 5000), "mbert": (12, 768, 119547), "xlmr-base": (12, 768, 250002)}
"""Layers, hidden size and vocabulary."""

EPOCHS = 10
CHOICES = {
    "graddrop": GradDrop(over="elements", p=0.2, rescale=True),
    "layer_graddrop": GradDrop(over="layers", p=0.2, rescale=False),
    "anneal_graddrop": GradDrop(over="elements", p=0.9, anneal="recurrence", rescale=True),
    "anneal_layer_graddrop": GradDrop(over="layers", p=0.9, anneal="recurrence", rescale=False),
    "graddrop_epoch": GradDropEpoch(toggle=False),
    "graddrop_epoch_toggle": GradDropEpoch(toggle=True),
}


def ways(arguments: argparse.Namespace) -> tuple[dict[str, Callable[[], object]], dict[str, int], int]:
    """An update without and with each mask, in the fifth epoch; what masking takes and its largest tensor, in bytes."""
    model, part = build(arguments, PAIRS), text(arguments, arguments.batch)
    del part["masked"]
    labels = torch.randint(3, (arguments.batch, 1), device=arguments.device)
    parameters, blocks = dict(model.named_parameters()), encoder_blocks(model)
    step = optimizer("adamw", parameters, 2e-5, 0.0)
    takes: dict[str, int] = {}

    def update(name: str, mask: Masking | None) -> None:
        predict(model, PAIRS, part).nll(labels).mean().backward()
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if mask:
            mask.before_update(1, 4)
            if name in takes:
                mask.mask_gradient(1, 4)
            else:
                takes[name] = added(lambda: mask.mask_gradient(1, 4), arguments.device)
            norm = nn.utils.get_total_norm(gradients)
        nn.utils.clip_grads_with_norm_(parameters.values(), 1.0, norm)
        step.step()
        step.zero_grad(set_to_none=True)

    updates: dict[str, Callable[[], object]] = {"none": lambda: update("none", None)}
    for name in arguments.masks:
        choice = CHOICES[name]
        over = LayerMask if isinstance(choice, GradDrop) and choice.over == "layers" else ElementMask
        mask = over(blocks, 0, choice.rule(EPOCHS))
        updates[name] = lambda name=name, mask=mask: update(name, mask)  # type: ignore[misc]
    return updates, takes, max(p.numel() * p.element_size() for block in blocks.values() for p in block.values())


def added(work: Callable[[], object], device: str) -> int:
    """The bytes that `work` holds at most, beyond what was held before it."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    work()
    return resident("VmHWM") - before


def resident(line: str) -> int:
    """A line of Linux's account of this process, in bytes."""
    lines = dict(each.split(":") for each in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[line].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--masks", nargs="+", choices=CHOICES, default=list(CHOICES))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    arguments.layers, arguments.hidden, arguments.vocabulary = SIZES[arguments.size]

    torch.manual_seed(0)
    updates, takes, largest = ways(arguments)
    times: dict[str, list[float]] = {name: [] for name in updates}
    for turn in range(arguments.rounds + 1):
        for name, work in updates.items():
            spent = seconds(work, arguments.device)
            if turn:  # the first one fills caches, makes the optimizer's moments and measures memory
                times[name].append(spent)
    for name, spans in times.items():
        ratio = statistics.median(mine / other for mine, other in zip(spans, times["none"], strict=True))
        memory = f"  takes {takes[name] / 1e6:5.1f} MB, {takes[name] / largest:.2f} tensors" if name in takes else ""
        print(f"{name:22} {1000 * statistics.median(spans):9.1f} ms  {ratio:6.3f} x{memory}")


if __name__ == "__main__":
    main()
