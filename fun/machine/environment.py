"""Where a run ran: for its record, never for its identity. No host names, paths or secrets."""

import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import torch

from fun.errors import ConfigError

PACKAGES = ("torch", "transformers", "adapters", "datasets", "evaluate", "tokenizers", "numpy")


class CodeVersion(TypedDict):
    """Commit, and whether the checkout differed from it; None where that is not known."""

    git_sha: str | None
    git_dirty: bool | None


class TrainingCode(CodeVersion):
    """The code that made update `update` and those after it; one past the last: that evaluated alone."""

    update: int


def environment(device: torch.device, commits: Mapping[str, str]) -> dict[str, Any]:
    """Code version, package versions, device, SLURM job; `commits` of the hub's repositories that were read."""
    return {
        **code_version(),
        "fun": version("fun"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "hub": dict(commits),
    }


@cache
def code_version() -> CodeVersion:
    """The version of the code that this process runs; not known for an installed package.

    Looked up once, when a run begins: its code is imported by then, and the checkout may change while it trains.
    A package installed below somebody's checkout must not report that checkout's commit.
    """
    top = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", top, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    found = git("rev-parse", "--show-toplevel")
    if found is None or Path(found).resolve() != top:
        return CodeVersion(git_sha=None, git_dirty=None)
    sha = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=no")
    return CodeVersion(git_sha=sha, git_dirty=None if changes is None else bool(changes))


def training_code(earlier: Sequence[TrainingCode], update: int, version: CodeVersion) -> list[TrainingCode]:
    """The code that made each update, where `version` goes on behind `update`.

    `earlier`: what the attempts before noted. What they trained behind `update` was lost, and counts for nothing.
    """
    kept = [code for code in earlier if code["update"] <= update]
    if update and not kept:  # by an attempt that did not note it
        kept = [TrainingCode(update=1, git_sha=None, git_dirty=None)]
    known = [(code["git_sha"], code["git_dirty"]) for code in kept[-1:]]
    if known == [(version["git_sha"], version["git_dirty"])]:
        return kept
    return [*kept, TrainingCode(update=update + 1, **version)]


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
        problem = gpu_problem(torch.cuda.get_device_capability(), torch.cuda.get_arch_list(), precision)
        if problem:
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
    match = re.fullmatch(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<variant>[af]?)", architecture)
    if not match:
        return False
    built = int(match["major"]), int(match["minor"])
    if match["variant"] == "a":  # one GPU's own instructions
        return built == capability
    if match["kind"] == "compute":
        return built <= capability
    return built[0] == capability[0] and built[1] <= capability[1]
