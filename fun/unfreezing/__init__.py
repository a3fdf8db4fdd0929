"""The heart: which layers train in which update, and nothing else. It imports nothing of the rest of this project."""

from fun.unfreezing.schedules.at_once import GradFreeze, LinearProbeThenFineTune, Standard
from fun.unfreezing.schedules.base import SCHEDULES, Change, Moment, Schedule, Stage, Stepwise, layers_text, register
from fun.unfreezing.schedules.stepwise import (
    FisherUnfreezing,
    FixedOrder,
    GradualUnfreezing,
    RandomUnfreezing,
    ReverseUnfreezing,
)
