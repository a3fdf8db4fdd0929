"""What a run is: its typed configuration, the values looked up for it, its checks and its identity."""

from fun.config.compose import CONFIG_DIR, compose, from_hydra, producer, producer_command, search
from fun.config.schema import RunConfig, ours, results_root
from fun.inputs.identity import SEMANTICS

__all__ = [
    "CONFIG_DIR",
    "SEMANTICS",
    "RunConfig",
    "compose",
    "from_hydra",
    "ours",
    "producer",
    "producer_command",
    "results_root",
    "search",
]
