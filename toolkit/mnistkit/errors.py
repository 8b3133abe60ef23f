"""Every error that a user can meet: what is wrong, and how to mend it. Imports nothing."""


class MnistkitError(Exception):
    """Base of all: `problem` says what is wrong, `remedy` how to mend it.

    The library only raises; `cli.py` alone turns it into one line and `exit_code`.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class OptionError(MnistkitError):
    """Options that don't fit together, or have no use."""


class DataError(MnistkitError):
    """A data set that can't be had, or isn't what it must be."""


class RecipeError(MnistkitError):
    """A recipe that isn't there, or an override that it can't take."""


class ModelError(MnistkitError):
    """A Keras model that can't be loaded, or isn't an image classifier."""


class ExportError(MnistkitError):
    """A converter that failed."""


class BundleError(MnistkitError):
    """A bundle that isn't whole, or isn't a bundle."""


class RecordError(MnistkitError):
    """A JSON record (manifest, run, report) that doesn't hold what its schema says."""


class StorageError(MnistkitError):
    """A file that can't be read or written: disk full, no permission, not there."""


class MissingExtraError(MnistkitError):
    """A package that this environment lacks; the remedy is the pip command that brings it."""


class UnsupportedPythonError(MnistkitError):
    """A package that can't be had for this Python."""


class SessionError(MnistkitError):
    """A runtime that can't open or run an artifact."""


class BenchError(MnistkitError):
    """A measurement that can't be made here, or measurements that can't be held against each other."""


class WorkerError(MnistkitError):
    """A process of our own that died, hung or answered nonsense."""


class WheelError(MnistkitError):
    """A wheel that can't be had."""


class FleetError(MnistkitError):
    """Boards that can't be asked at all: an inventory without any, or an engine that stops."""
