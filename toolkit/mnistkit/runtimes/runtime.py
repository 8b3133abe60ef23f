"""The protocol of runtimes and sessions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mnistkit.core.errors import MnistkitError, SessionError, one_line
from mnistkit.core.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Session(Protocol):
    """An artifact opened for one batch size."""

    @property
    def batch(self) -> int:
        """The batch size."""

    def load(self, images: NDArray[np.uint8]) -> None:
        """Set the input: raw images [batch, height, width, channels]."""

    def run(self) -> None:
        """Run inference on the input."""

    def read(self) -> NDArray[np.float32]:
        """The probabilities [batch, classes] of the last run, dequantized."""


@dataclass(frozen=True)
class Runtime(ABC):
    """What runs the artifacts of one format."""

    name: str
    format: str
    for_devices: bool = field(default=True, kw_only=True)  # whether devices use it

    @property
    @abstractmethod
    def remedy(self) -> str:
        """A fix to suggest if the runtime fails."""

    @property
    @abstractmethod
    def install_command(self) -> str:
        """The command that installs the runtime."""

    @property
    @abstractmethod
    def packages(self) -> tuple[str, ...]:
        """The packages that pip installs for it."""

    @abstractmethod
    def installed(self) -> bool:
        """Whether the runtime is installed; does not import it."""

    @abstractmethod
    def require(self) -> None:
        """Raise MissingExtraError, with the pip command, if the runtime is not installed."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """The version of what the runtime depends on, by name; empty if it is not installed."""

    @abstractmethod
    def preload(self) -> None:
        """Import the runtime ahead of `open`; raises MissingExtraError if it is not installed."""

    @abstractmethod
    def prepare(self, artifact: Path, *, trust_code: bool = False, progress: Progress = SILENT) -> None:
        """Do what takes long and is done once for an artifact, ahead of `open`."""

    def open(self, artifact: Path, batch: int = 1, threads: int = 1, *, trust_code: bool = False) -> Session:
        """Open an artifact. An artifact that was exported with a fixed batch size keeps that instead of `batch`.

        Raises MissingExtraError if the runtime is not installed, UntrustedCodeError if the artifact is code that was
        made on another machine and `trust_code` is not set, SessionError if the runtime can't load the artifact.
        """
        self.require()
        try:
            return self._open(artifact, batch, threads, trust_code=trust_code)
        except MnistkitError:
            raise
        except Exception as error:  # each runtime has exceptions of its own
            reason = one_line(error, 200)
            raise SessionError(f"{self.name} cannot load the artifact: {reason}", self.remedy) from error

    @abstractmethod
    def _open(self, artifact: Path, batch: int, threads: int, *, trust_code: bool) -> Session:
        """Open an artifact; raises exceptions of any type."""
