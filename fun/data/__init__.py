"""Where rows come from, and the low-data subsets of them. Imports neither torch nor transformers."""

from fun.data.base import Source, subset
from fun.data.sources import FolderSource, HubSource, WorldSource
