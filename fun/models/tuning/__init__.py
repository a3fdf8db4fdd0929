"""What trains on an encoder besides the head. A module here and a yaml of conf/adapter are a new kind."""

from fun.models.tuning.base import TUNINGS, Tuning
from fun.registry import import_modules

import_modules(__name__, __path__)
