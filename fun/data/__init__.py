"""Where rows come from, and the low-data subsets of them. Imports neither torch nor transformers."""

from fun.data.base import SUBSET_SEED, Source, subset
from fun.data.folder import FolderSource
from fun.data.hub import HubSource
from fun.data.world import WorldSource
