"""The errors a user may see. Their text is the whole message: what was found, what was expected, what to type."""

import os
import sys


class FunError(Exception):
    """Anything that ends in one clear line on standard error and an exit status that is not 0."""


class ConfigError(FunError):
    """Bad input, found before any download or training."""


class RunError(FunError):
    """A run that failed for a reason of its own (the method's): running it again would fail again."""


class HubError(FunError):
    """A download that failed for a reason of the network or the cache: the same command may succeed later."""


class InputChanged(FunError):
    """A file that changed while a run read it: the same command reads it anew."""


class DeviceTooSmall(FunError):
    """A run that does not fit the memory of this device: the same command may succeed on another."""


class AdapterMissing(FunError):
    """A language without a language adapter: a gap for that language, not a failure of the run."""


def tell(error: FunError) -> int:
    """Print an error on standard error. The exit status that it means."""
    print(f"error: {error}", file=sys.stderr)
    return 2 if isinstance(error, ConfigError) else 1


def unread() -> int:
    """The reader of standard output, such as `head`, has seen enough: flush nothing more to it. The exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
