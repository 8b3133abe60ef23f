"""Which generated code may run here: to compile or load it is to run it.

`mnistkit export` remembers the SHA-256 of each file of code that it wrote. Other code runs only if the user trusts it.
"""

from collections.abc import Iterable
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.errors import UntrustedCodeError

REMEDY = "pass --trust-code if you trust its origin"


def remember(hashes: Iterable[str]) -> None:
    """Remember files of code, by their SHA-256, as made on this machine; raises StorageError."""
    for sha256 in hashes:
        files.write_bytes(_folder() / sha256, b"")


def is_trusted(sha256: str) -> bool:
    """Whether the file of code with this SHA-256 was made on this machine."""
    return (_folder() / sha256).is_file()


def check(contents: Iterable[bytes], *, trust_code: bool) -> None:
    """Raise UntrustedCodeError unless the user trusts the code, or each of the files was made on this machine.

    Takes the bytes that will be compiled or loaded, not a path, whose file might be replaced afterwards.
    """
    if not trust_code and not all(is_trusted(files.sha256(content)) for content in contents):
        raise UntrustedCodeError("the code was made on another machine", REMEDY)


def _folder() -> Path:
    import platformdirs  # a board that only runs `doctor` may not have it

    return platformdirs.user_state_path("mnistkit") / "generated-code"
