"""How far a running run is, as its heartbeat and its step log tell."""

from dataclasses import dataclass
from datetime import timedelta

from fun.results import RunFolder
from fun.unfreezing import layers_text


@dataclass(frozen=True)
class Training:
    """Where the latest attempt at a run stands: at `update` of `updates`, `speed` updates per second since it began.

    `updates` is 0 before it trains, `speed` before its first heartbeat; `loss` is that of the last logged update.
    """

    update: int
    updates: int
    speed: float
    loss: float | None
    open_layers: str

    @classmethod
    def of(cls, run: RunFolder) -> "Training":
        """Raises Damaged."""
        pace, log = run.latest.pace(), run.attempt_log()
        if pace is None:
            return cls(0, 0, 0.0, None, "")
        speed = (pace.update - pace.resumed) / pace.seconds if pace.seconds else 0.0
        losses = [line["loss"] for line in log if line["kind"] == "train"]
        opened = next((set(line["open"]) for line in reversed(log) if line["kind"] == "stage"), set())
        # The step log is newer than the last heartbeat; the speed is what the heartbeat told.
        update = max(log[-1]["update"] if log else 0, pace.update)
        return cls(update, pace.updates, speed, losses[-1] if losses else None, layers_text(opened))

    @property
    def counted(self) -> str:
        return f"{self.update}/{self.updates}" if self.updates else "starting"

    @property
    def left(self) -> str:
        """Time to the last update, as h:mm:ss."""
        return str(timedelta(seconds=round((self.updates - self.update) / self.speed))) if self.speed else "?"

    def __str__(self) -> str:
        if not self.updates:
            return "starting"
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        return f"update {self.counted}{loss}, open layers {self.open_layers}, {self.left} to the last update"
