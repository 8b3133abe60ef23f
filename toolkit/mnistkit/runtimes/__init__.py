"""The runtimes that execute artifacts, behind one small protocol; one module for each format.

A session is an artifact opened by a runtime for one batch size. `load` sets the input, `run` is the call of the runtime
and nothing else, so that it can be timed, and `read` returns the probabilities.
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
class Runtime:
    """A package that runs artifacts of one format. The module of this package named like the format calls it."""

    name: str
    format: str
    distribution: str
    module: str
    extra: str
    for_devices: bool = True
    successor: str | None = None  # set if the package is no longer developed

    @property
    def remedy(self) -> str:
        """A fix to suggest if the runtime fails."""
        if self.successor:
            return f"{self.name} is no longer developed: use {self.successor}, {install_command('device')}"
        return f"try another version, pip install -U {self.distribution}, or another --runtime"

    @property
    def install_command(self) -> str:
        """The pip command that installs the package."""
        return install_command(self.extra)

    def installed(self) -> bool:
        """Whether the package is installed; does not import it."""
        return importlib.util.find_spec(self.module.partition(".")[0]) is not None

    def require(self) -> None:
        """Raise MissingExtraError, with the pip command, if the package is not installed."""
        if not self.installed():
            raise missing_package(f"the runtime {self.name}", self.extra)

    def preload(self) -> None:
        """Import the package ahead of `open`; raises MissingExtraError if it is not installed."""
        self.require()
        self._code().import_runtime(self.module)

    def open(self, artifact: Path, batch: int = 1, threads: int = 1) -> Session:
        """Open an artifact. An artifact that was exported with a fixed batch size keeps that instead of `batch`.

        Raises MissingExtraError if the runtime is not installed, SessionError if it can't load the artifact.
        """
        self.require()
        try:
            session: Session = self._code().open_session(self.module, artifact, batch, threads)
        except MnistkitError:
            raise
        except Exception as error:  # each runtime has exceptions of its own
            reason = one_line(error, 200)
            raise SessionError(f"{self.name} cannot load the artifact: {reason}", self.remedy) from error
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


class HasFormat(Protocol):
    """An artifact, as far as runtimes need to know it."""

    @property
    def format(self) -> str:
        """The format, such as "tflite"."""


A = TypeVar("A", bound=HasFormat)


def match_runtimes(
    artifacts: Iterable[A], names: tuple[str, ...] = (), *, for_devices: bool = False
) -> list[tuple[A, Runtime]]:
    """Pair each named runtime, or each installed one, with each artifact of its format.

    With `for_devices`, runtimes that do not run on devices are left out unless they are named. Raises MissingExtraError
    if a named runtime is not installed, or no installed one has the format of an artifact; SessionError if no artifact
    has the format of a named runtime.
    """
    artifacts = list(artifacts)
    chosen = [RUNTIMES[name] for name in RUNTIMES if name in names] or _installed(for_devices)
    for runtime in chosen:
        runtime.require()
        if runtime.name in names and runtime.format not in {artifact.format for artifact in artifacts}:
            raise SessionError(f"no artifact runs on {runtime.name}", "pass another --runtime, or none")
    pairs = [(artifact, runtime) for runtime in chosen for artifact in artifacts if artifact.format == runtime.format]
    if not pairs:
        default_for(artifacts[0].format).require()
    return pairs


def artifacts_without_runtime(artifacts: Iterable[A], *, for_devices: bool = False) -> list[tuple[A, Runtime]]:
    """The artifacts that no installed runtime can run, each with the runtime to install."""
    formats = {runtime.format for runtime in _installed(for_devices)}
    return [(artifact, default_for(artifact.format)) for artifact in artifacts if artifact.format not in formats]


def _installed(for_devices: bool) -> list[Runtime]:
    candidates = [runtime for runtime in RUNTIMES.values() if runtime.for_devices or not for_devices]
    return [runtime for runtime in candidates if runtime.installed()]


def default_for(format: str) -> Runtime:
    """The runtime that devices use for a format."""
    return next(runtime for runtime in RUNTIMES.values() if runtime.format == format)


def runtime_versions() -> dict[str, str]:
    """The versions of Python, mnistkit, numpy and the installed runtimes."""
    return installed_versions("mnistkit", "numpy", *(runtime.distribution for runtime in RUNTIMES.values()))
