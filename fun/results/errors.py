"""What can stand between a caller and a run's folder. None of them says that the method failed."""

from fun.errors import FunError


class ResultsError(FunError):
    """Anything the results store refuses."""


class NotWritable(ResultsError, OSError):
    """Nothing can be written to a folder, for a reason of the file system."""


class Busy(ResultsError):
    """Another process is running this run."""


class AlreadyDone(ResultsError):
    """The run has a valid record."""


class FailedBefore(ResultsError):
    """The run's method failed, so that running it again would fail again."""


class NotDone(ResultsError):
    """The run has no record."""


class NoProgress(ResultsError):
    """The run comes back to one and the same update, however often its job is started again."""


class Superseded(ResultsError):
    """Another attempt took this run over: whatever this attempt still does is lost."""


class InvalidRecord(ResultsError):
    """A value that the record's schema does not allow, named by its field."""


class Damaged(ResultsError):
    """A file of the store that is not what was written: unreadable, altered, or in the wrong folder."""


class Unreadable(Damaged):
    """Something that is there, and that the file system does not let one read: nobody knows what it holds."""
