"""What acts on an update: the unfreezer, a regularizer, a gradient mask. Every one of them is a `Method`.

A regularizer or a mask is a frozen dataclass in a module of this package, registered under its yaml's name; what it
needs of torch is imported when it is built.
"""

from fun.methods.base import MASKS, REGULARIZERS, Method, MethodChoice, Unfreezing
from fun.registry import import_modules

import_modules(__name__, __path__)
