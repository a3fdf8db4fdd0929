"""The heart: which layers train in which update, and nothing else.

`schedules` is pure Python and imports nothing of this project; `unfreezer` applies a schedule to a
model's parameters; `callback` does so inside anybody's transformers `Trainer`.
"""

from fun.unfreezing.schedules import (
    SCHEDULES,
    Change,
    FisherUnfreezing,
    FixedOrder,
    GradualUnfreezing,
    LinearProbeThenFineTune,
    Moment,
    RandomUnfreezing,
    ReverseUnfreezing,
    Schedule,
    Stage,
    Standard,
    Stepwise,
    register,
)

__all__ = [
    "SCHEDULES",
    "Change",
    "FisherUnfreezing",
    "FixedOrder",
    "GradualUnfreezing",
    "LinearProbeThenFineTune",
    "Moment",
    "RandomUnfreezing",
    "ReverseUnfreezing",
    "Schedule",
    "Stage",
    "Standard",
    "Stepwise",
    "register",
]
