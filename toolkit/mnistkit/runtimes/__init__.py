"""What executes artifacts: runtimes, one file a format, behind one small protocol.

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

from mnistkit.core.errors import MnistkitError, SessionError, one_line
from mnistkit.core.packages import install_command, installed_versions, missing_package

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
    """A package that can open artifacts of one format; the code for it is the module of that name beside this one."""

    name: str
    format: str
    distribution: str
    module: str
    extra: str
    for_devices: bool = True
    successor: str | None = None  # where the package itself has no later versions

    @property
    def remedy(self) -> str:
        """What may help where it fails."""
        if self.successor:
            return f"{self.name} has no later version: use {self.successor}, {install_command('device')}"
        return f"try another version, pip install -U {self.distribution}, or another --runtime"

    @property
    def install_command(self) -> str:
        """The command that brings it."""
        return install_command(self.extra)

    def installed(self) -> bool:
        """Whether this environment has the package; imports nothing of it."""
        return importlib.util.find_spec(self.module.partition(".")[0]) is not None

    def require(self) -> None:
        """Raise MissingExtraError, with the pip command that helps, unless it is installed."""
        if not self.installed():
            raise missing_package(f"the runtime {self.name}", self.extra)

    def preload(self) -> None:
        """Import the package, so that `open` need not; raises MissingExtraError where it isn't installed."""
        self.require()
        self._code().import_runtime(self.module)

    def open(self, artifact: Path, batch: int = 1, threads: int = 1) -> Session:
        """The artifact, opened; `batch` is a wish, which one exported at a fixed batch can refuse.

        Raises MissingExtraError where the runtime isn't installed, SessionError where it can't load the artifact.
        """
        self.require()
        try:
            session: Session = self._code().open_session(self.module, artifact, batch, threads)
        except MnistkitError:
            raise
        except Exception as error:  # each runtime has exceptions of its own
            reason = one_line(error, 200)
            raise SessionError(f"{self.name} can't load it: {reason}", self.remedy) from error
        return session

    def _code(self) -> ModuleType:
        return importlib.import_module(f"{__name__}.{self.format}")


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("litert", "tflite", "ai-edge-litert", "ai_edge_litert.interpreter", "device"),
        Runtime(
            "tflite-runtime",
            "tflite",
            "tflite-runtime",
            "tflite_runtime.interpreter",
            "tflite-runtime",
            successor="litert",
        ),
        Runtime("tensorflow", "tflite", "tensorflow", "tensorflow.lite.python.interpreter", "train", for_devices=False),
        Runtime("onnxruntime", "onnx", "onnxruntime", "onnxruntime", "device"),
    )
}


class Formatted(Protocol):
    """Whatever has a format that runtimes take: an artifact."""

    @property
    def format(self) -> str:
        """As in its file's name."""


A = TypeVar("A", bound=Formatted)


def match_runtimes(
    artifacts: Iterable[A], names: tuple[str, ...] = (), *, for_devices: bool = False
) -> list[tuple[A, Runtime]]:
    """Each runtime that is installed, or of those named, with each artifact that it takes.

    Unless they are named, runtimes that no device has can be left out. Raises MissingExtraError where a runtime is
    named and not installed, or where none is for any artifact; SessionError where one that is named takes none.
    """
    artifacts = list(artifacts)
    chosen = [RUNTIMES[name] for name in RUNTIMES if name in names] or _installed(for_devices)
    for runtime in chosen:
        runtime.require()
        if runtime.name in names and runtime.format not in {artifact.format for artifact in artifacts}:
            raise SessionError(f"no artifact runs on {runtime.name}", "name another --runtime, or none")
    pairs = [(artifact, runtime) for runtime in chosen for artifact in artifacts if artifact.format == runtime.format]
    if not pairs:
        default_for(artifacts[0].format).require()
    return pairs


def artifacts_without_runtime(artifacts: Iterable[A], *, for_devices: bool = False) -> list[tuple[A, Runtime]]:
    """The artifacts that no runtime which is installed takes, each with the one to install for it."""
    formats = {runtime.format for runtime in _installed(for_devices)}
    return [(artifact, default_for(artifact.format)) for artifact in artifacts if artifact.format not in formats]


def _installed(for_devices: bool) -> list[Runtime]:
    there = [runtime for runtime in RUNTIMES.values() if runtime.installed()]
    return [runtime for runtime in there if runtime.for_devices or not for_devices]


def default_for(format: str) -> Runtime:
    """The runtime that devices run it on."""
    return next(runtime for runtime in RUNTIMES.values() if runtime.format == format)


def runtime_versions() -> dict[str, str]:
    """The versions of Python, mnistkit, numpy and the runtimes that are here."""
    return installed_versions("mnistkit", "numpy", *(runtime.distribution for runtime in RUNTIMES.values()))
