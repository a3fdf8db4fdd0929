"""Scheduled unfreezing as a method: the first of every run."""

from collections.abc import Callable

from fun.methods.base import Method
from fun.unfreezing.schedules import Stage
from fun.unfreezing.unfreezer import Unfreezer


class Unfreezing(Method):
    """Lets `unfreezer` open and close layers, and tells `begun` of every stage that begins."""

    def __init__(self, unfreezer: Unfreezer, begun: Callable[[Stage], None]) -> None:
        self.unfreezer = unfreezer
        self.begun = begun

    def before_update(self, update: int, epoch: int) -> None:
        if stage := self.unfreezer.before_update(update, epoch):
            self.begun(stage)
