"""What trains on an encoder besides the head: attached, split into blocks, saved and loaded by its own class.

A kind of tuning is a module here and a yaml of conf/adapter. Imports neither torch nor transformers.
"""

from fun.models.tuning.base import TUNINGS, Tuning
from fun.registry import import_modules

import_modules(__name__, __path__)
