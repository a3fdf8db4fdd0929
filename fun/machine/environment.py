"""Where a run ran: for its record, never for its identity. No host names, paths or secrets."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "transformers", "adapters", "datasets", "evaluate", "tokenizers", "numpy")


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
def code_version() -> dict[str, str | bool | None]:
    """`git_sha` of the code that this process runs, and `git_dirty`: whether its checkout differed; None if not known.

    Looked up once, when a run begins: its code is imported by then, and the checkout may change while it trains.
    A package installed below somebody's checkout must not report that checkout's commit.
    """
    top = Path(__file__).resolve().parents[2]
    # GIT_DIR and its like of another repository (in a hook, in `git rebase --exec`) would answer for that one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", top, *arguments], capture_output=True, text=True, check=True, env=own)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    checkout = git("rev-parse", "--show-toplevel")
    if checkout is None or Path(checkout).resolve() != top:
        return {"git_sha": None, "git_dirty": None}
    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"git_sha": git("rev-parse", "HEAD"), "git_dirty": None if changes is None else bool(changes)}
