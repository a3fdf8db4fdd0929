"""The errors a user may see. Their text is the whole message: what was found, what was expected, what to type."""


class FunError(Exception):
    """Anything that ends in one clear line on standard error and an exit status that is not 0."""


class ConfigError(FunError):
    """Bad input, found before any download or training."""


class NotBuilt(ConfigError):
    """A choice that is declared but that this version cannot run yet."""


class RunError(FunError):
    """A run that failed for a reason of its own (the method's): running it again would fail again."""
