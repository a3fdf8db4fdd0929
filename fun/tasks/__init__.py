"""The downstream tasks: how rows become tokens, which head reads them, and how its output is scored.

A kind of task is a module here; a task of a known kind is a yaml of conf/task. Imports neither torch nor transformers.
"""

from fun.registry import import_modules
from fun.tasks.base import TASKS, Task

import_modules(__name__, __path__)
