"""Where rows come from, and the low-data subsets of them. Imports neither torch nor transformers."""

from fun.tasks.sources.base import SUBSET_SEED, Source, subset
from fun.tasks.sources.folder import FolderSource
from fun.tasks.sources.hub import HubSource
from fun.tasks.sources.world import WorldSource

__all__ = ["SUBSET_SEED", "FolderSource", "HubSource", "Source", "WorldSource", "subset"]
