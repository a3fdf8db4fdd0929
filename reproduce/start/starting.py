"""What starts a run, here or in a job."""

from dataclasses import dataclass

from fun.results import RunFolder
from reproduce.runs.plan import Entry


@dataclass(frozen=True)
class Start:
    """A run to start: what to type after `python -m fun.run`, and its folder.

    `failed`: the attempt after which it is tried once more all the same (`retry`); 0 for none.
    """

    arguments: tuple[str, ...]
    run: RunFolder
    failed: int = 0

    @classmethod
    def of(cls, entry: Entry) -> "Start":
        return cls(entry.needed.arguments, entry.run, entry.failed)

    @property
    def asked_again(self) -> bool:
        """Whether it is still to be tried once more."""
        return self.failed > 0 and self.run.attempts() == self.failed

    @property
    def typed(self) -> tuple[str, ...]:
        """What to type now."""
        return (*self.arguments, "retry=true") if self.asked_again else self.arguments
