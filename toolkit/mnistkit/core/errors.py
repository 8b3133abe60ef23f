"""The errors that users see. Each one says what is wrong and how to fix it."""


class MnistkitError(Exception):
    """Base class of all errors: `problem` says what is wrong, `remedy` how to fix it.

    The library only raises them; `cli.main` alone turns them into a message and an exit code.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class OptionError(MnistkitError):
    """Options that contradict each other or have no effect."""


class DataError(MnistkitError):
    """A data set that is unavailable or invalid."""


class RecipeError(MnistkitError):
    """An unknown recipe, or an override that is out of range."""


class ModelError(MnistkitError):
    """A model that can't be loaded, or is not an image classifier."""


class ExportError(MnistkitError):
    """A conversion that failed."""


class BundleError(MnistkitError):
    """A bundle that is incomplete, corrupt, or not a bundle."""


class RecordError(MnistkitError):
    """A JSON record (manifest, run, report) that does not match its schema."""


class StorageError(MnistkitError):
    """A file that can't be read or written: disk full, no permission, not found."""


class MissingExtraError(MnistkitError):
    """A package that is not installed; the remedy is the pip command for it, or that this Python has no wheel."""


class SessionError(MnistkitError):
    """A runtime that can't open or run an artifact."""


class CompilerError(MnistkitError):
    """A C compiler that fails or does not respond."""


class MissingCompilerError(CompilerError):
    """A C compiler that is not installed."""


class UntrustedCodeError(MnistkitError):
    """Generated code that was made on another machine: it runs only if the user trusts it."""


class BenchError(MnistkitError):
    """A measurement that is not possible on this machine, or measurements that can't be compared."""


class WorkerError(MnistkitError):
    """A worker process that died, hung or sent an invalid message."""


class WheelError(MnistkitError):
    """A wheel that pip can't find or download."""


class FleetError(MnistkitError):
    """A run on boards that could not start: an empty inventory, or Ansible failed."""


CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(10), *range(11, 32), *range(127, 160))}


def printable(text: str) -> str:
    """The text with control characters, except line breaks, as escapes: a terminal would obey them."""
    return text.translate(CONTROL_CHARACTERS)


def one_line(error: BaseException, limit: int | None = None) -> str:
    """The message of an exception on one line, at most `limit` characters; its class name if it has no message."""
    return (" ".join(str(error).split()) or type(error).__name__)[:limit]
