"""The device that a run computes on, and why one cannot be used."""

import re
import resource
import sys
from collections.abc import Sequence

import torch

from fun.errors import ConfigError


def peak_memory_bytes(device: torch.device) -> int:
    """The largest resident size of this process so far, or on a GPU the most memory allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pick_device(name: str, precision: str) -> torch.device:
    """`auto` is the GPU if there is one.

    Raises ConfigError if a GPU is asked for and there is none, if the installed torch cannot drive it, or if the
    device cannot compute in `precision`.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" and precision == "fp16":
        raise ConfigError("precision=fp16 needs a GPU, and this runs on the CPU: type precision=fp32 or bf16")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("device=cuda, but torch finds no GPU here: type device=cpu")
        if problem := gpu_problem(torch.cuda.get_device_capability(), torch.cuda.get_arch_list(), precision):
            raise ConfigError(f"{torch.cuda.get_device_name()}: {problem}")
    return torch.device(name)


def gpu_problem(capability: tuple[int, int], architectures: Sequence[str], precision: str) -> str | None:
    """Why a GPU of this compute capability cannot be used, with the cure; None if it can.

    `architectures` are those that torch was built for: sm_XY is machine code for X.Y and later minor versions,
    compute_XY is compiled when it is loaded, for X.Y and everything later.
    """
    mine = "{}.{}".format(*capability)
    if not any(_runs(architecture, capability) for architecture in architectures):
        return (
            f"compute capability {mine}, for which the installed torch {torch.__version__} is not built (it has "
            f"{', '.join(architectures)}); install the cu126 build of the same version, as README.md says for V100"
        )
    if precision == "bf16" and capability < (8, 0):
        return f"compute capability {mine} has no bf16 of its own (8.0 and later have): type precision=fp16 or fp32"
    return None


def _runs(architecture: str, capability: tuple[int, int]) -> bool:
    if not (match := re.fullmatch(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<variant>[af]?)", architecture)):
        return False
    built = int(match["major"]), int(match["minor"])
    if match["variant"] == "a":  # one GPU's own instructions
        return built == capability
    if match["kind"] == "compute":
        return built <= capability
    return built[0] == capability[0] and built[1] <= capability[1]
