"""What acts on an update: the unfreezer, a regularizer, a gradient mask. Free of torch until one of them is built."""

from fun.methods.base import MASKS, REGULARIZERS, Method, MethodChoice, Unfreezing
from fun.registry import import_modules

import_modules(__name__, __path__)
