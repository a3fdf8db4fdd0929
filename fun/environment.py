"""Where a run ran: for its record, never for its identity. No host names, paths or secrets."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fun.errors import ConfigError

PACKAGES = ("torch", "transformers", "adapters", "datasets", "evaluate", "tokenizers", "numpy")


def environment(device: torch.device) -> dict[str, Any]:
    """Code version, package versions, device, SLURM job."""
    sha, dirty = git_version()
    return {
        "git_sha": sha,
        "git_dirty": dirty,
        "fun": version("fun"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def git_version() -> tuple[str | None, bool | None]:
    """Commit and whether the checkout differs from it; (None, None) for an installed package.

    A package installed below somebody's checkout must not report that checkout's commit.
    """
    top = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", top, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    found = git("rev-parse", "--show-toplevel")
    if found is None or Path(found).resolve() != top:
        return None, None
    sha = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=no")
    return sha, None if changes is None else bool(changes)


def peak_memory_bytes(device: torch.device) -> int:
    """The largest resident size of this process so far, or on a GPU the most memory allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one. Raises ConfigError if a GPU is asked for and there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but torch finds no GPU here: type device=cpu")
    return torch.device(name)
