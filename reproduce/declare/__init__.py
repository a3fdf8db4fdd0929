"""Papers as declarations: their targets (one class per kind), settings, claims, and the published numbers."""

from fun.registry import import_modules

import_modules(__name__, __path__)
