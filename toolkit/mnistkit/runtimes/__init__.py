"""What executes artifacts: one file a runtime, behind one small protocol.

A session is an artifact opened by a runtime, for batches of one size. `load` puts images in, `run` is the
runtime's own call and nothing else, so that it can be timed, and `read` takes the probabilities out.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeVar

from mnistkit.errors import SessionError
from mnistkit.extras import missing
from mnistkit.versions import versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Session(Protocol):
    """An artifact, opened for batches of `batch` images."""

    @property
    def batch(self) -> int:
        """How many images `load` takes."""

    def load(self, images: NDArray[np.uint8]) -> None:
        """Put in raw images [batch, height, width, channels]."""

    def run(self) -> None:
        """Infer, on what was loaded last."""

    def read(self) -> NDArray[np.float32]:
        """The probabilities [batch, classes] of the last run, scale and zero point applied."""


@dataclass(frozen=True)
class Runtime:
    """A package that can open artifacts of one format; the code for it is the module of its name beside this one."""

    name: str
    format: str
    distribution: str
    extra: str

    def installed(self) -> bool:
        """Whether this environment has the package; imports nothing of it."""
        return importlib.util.find_spec(self.distribution.replace("-", "_")) is not None

    def require(self) -> None:
        """Raise MissingExtraError, with the pip command that helps, unless it is installed."""
        if not self.installed():
            raise missing(f"the runtime {self.name}", self.extra)

    def preload(self) -> None:
        """Import the package, so that `open` need not; raises MissingExtraError where it isn't installed."""
        self.require()
        self._module().import_runtime()

    def open(self, artifact: Path, batch: int = 1, threads: int = 1) -> Session:
        """The artifact, opened; `batch` is a wish, which one exported at a fixed batch can refuse.

        Raises MissingExtraError where the runtime isn't installed, SessionError where it can't load the artifact.
        """
        self.require()
        try:
            session: Session = self._module().open_session(artifact, batch, threads)
        except Exception as error:  # each runtime has exceptions of its own
            reason = " ".join(str(error).split())[:200]
            raise SessionError(
                f"{self.name} can't load {artifact.name}: {reason}", f"upgrade it: pip install -U {self.distribution}"
            ) from error
        return session

    def _module(self) -> ModuleType:
        return importlib.import_module(f"{__name__}.{self.name.replace('-', '_')}")


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("litert", "tflite", "ai-edge-litert", "device"),
        Runtime("onnxruntime", "onnx", "onnxruntime", "device"),
    )
}


class Formatted(Protocol):
    """Whatever has a format that runtimes take: an artifact."""

    @property
    def format(self) -> str:
        """As in its file's name."""


A = TypeVar("A", bound=Formatted)


def pair(artifacts: Iterable[A], names: tuple[str, ...] = ()) -> list[tuple[A, Runtime]]:
    """Each artifact with each runtime that takes it, of those named where any are.

    Raises MissingExtraError where one of those runtimes isn't installed, SessionError where none takes any.
    """
    chosen = [runtime for runtime in RUNTIMES.values() if not names or runtime.name in names]
    pairs = [(artifact, runtime) for artifact in artifacts for runtime in chosen if runtime.format == artifact.format]
    if not pairs:
        raise SessionError(f"no artifact runs on {', '.join(names)}", "name another --runtime, or none")
    for _, runtime in pairs:
        runtime.require()
    return pairs


def runtime_versions() -> dict[str, str]:
    """The versions of Python, mnistkit, numpy and the runtimes that are here."""
    return versions("mnistkit", "numpy", *(runtime.distribution for runtime in RUNTIMES.values()))
