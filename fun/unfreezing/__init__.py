"""The heart: which layers train in which update, and nothing else.

`schedules` is pure Python and imports nothing of this project; `unfreezer` applies a schedule to a model's parameters;
`callback` does so inside anybody's transformers `Trainer`.
"""

from fun.unfreezing.schedules.at_once import GradFreeze, LinearProbeThenFineTune, Standard
from fun.unfreezing.schedules.base import SCHEDULES, Change, Moment, Schedule, Stage, Stepwise, layers_text, register
from fun.unfreezing.schedules.stepwise import (
    FisherUnfreezing,
    FixedOrder,
    GradualUnfreezing,
    RandomUnfreezing,
    ReverseUnfreezing,
)
