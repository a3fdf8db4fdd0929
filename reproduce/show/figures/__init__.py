"""Figures from finished runs: a class per kind, each in its module and known by importing it."""

from fun.registry import import_modules

import_modules(__name__, __path__)
