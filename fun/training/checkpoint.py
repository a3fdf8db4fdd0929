"""What exact resume needs, in one file that is replaced atomically. Randomness is by position, so none is stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@dataclass
class Progress:
    """Where training stands after `update` updates.

    `validation` holds the metrics on English validation, `best` the selected entry of it; `stages` what
    `fun.unfreezing.Stage.to_json` says, and the number of parameters that train as `trainable`; `tracking` what is
    followed along training, as the record says it; `code` which version made the updates from which one on (from one
    past the last: it evaluated alone). Times in seconds.
    """

    update: int = 0
    validation: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    tracking: dict[str, Any] = field(default_factory=dict)
    train_seconds: float = 0.0
    fisher_seconds: float = 0.0
    examples: int = 0
    code: list[dict[str, Any]] = field(default_factory=list)

    def goes_on_with(self, version: Mapping[str, Any]) -> None:
        """Note the version of the code that makes the updates from here on."""
        if not self.code or {"update": self.code[-1]["update"], **version} != self.code[-1]:
            self.code.append({"update": self.update + 1, **version})


@dataclass
class Checkpoint:
    """Four times the size of the parameters that train (weights, best weights, two moments of Adam), in fp32: 14 MB for
    a task adapter of a base model, 2.8 GB for all of mBERT and 4.4 GB for all of XLM-R. `scaler` is fp16's."""

    progress: Progress
    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write one file; the caller makes it appear atomically."""
        torch.save(vars(self) | {"progress": asdict(self.progress)}, path)

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        content = torch.load(path, map_location="cpu", weights_only=True)
        return cls(Progress(**content.pop("progress")), **content)
