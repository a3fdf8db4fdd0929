"""The heart: which layers train in which update, and nothing else.

`schedules` is pure Python and imports nothing of this project; `unfreezer` applies a schedule to a
model's parameters; `callback` does so inside anybody's transformers `Trainer`.
"""

from fun.unfreezing.schedules import (
    SCHEDULES,
    FisherUnfreezing,
    FixedOrder,
    GradualUnfreezing,
    LinearProbeThenFineTune,
    Moment,
    Opening,
    RandomUnfreezing,
    ReverseUnfreezing,
    Schedule,
    Standard,
    Stepwise,
    register,
)

__all__ = [
    "SCHEDULES",
    "FisherUnfreezing",
    "FixedOrder",
    "GradualUnfreezing",
    "LinearProbeThenFineTune",
    "Moment",
    "Opening",
    "RandomUnfreezing",
    "ReverseUnfreezing",
    "Schedule",
    "Standard",
    "Stepwise",
    "register",
]
