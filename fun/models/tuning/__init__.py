"""What trains on an encoder besides the head. Imports neither torch nor transformers.

A new kind of tuning is a module here and a yaml of conf/adapter.
"""

from fun.models.tuning.base import TUNINGS, Tuning
from fun.registry import import_modules

import_modules(__name__, __path__)
