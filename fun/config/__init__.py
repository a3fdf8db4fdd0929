"""What a run is: its typed configuration, the values looked up for it, and its checks. No file of the run is read."""

from fun.config.schema import RunConfig, ours, results_root
from fun.paths import CONFIG_DIR
