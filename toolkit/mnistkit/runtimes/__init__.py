"""The runtimes that execute artifacts, behind one small protocol; one module for each format.

A session is an artifact opened by a runtime for one batch size. `load` sets the input, `run` is the call of the runtime
and nothing else, so that it can be timed, and `read` returns the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from mnistkit.core.errors import SessionError
from mnistkit.core.packages import installed_versions
from mnistkit.runtimes.compiled_runtime import CompiledRuntime
from mnistkit.runtimes.package_runtime import PackageRuntime
from mnistkit.runtimes.runtime import Runtime, Session

__all__ = [
    "RUNTIMES",
    "PackageRuntime",
    "Runtime",
    "Session",
    "artifacts_without_runtime",
    "default_for",
    "match_runtimes",
    "runtime_versions",
]

RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        PackageRuntime("litert", "tflite", "ai-edge-litert", "ai_edge_litert.interpreter", "device"),
        PackageRuntime(
            "tflite-runtime",
            "tflite",
            "tflite-runtime",
            "tflite_runtime.interpreter",
            "tflite-runtime",
            successor="litert",
        ),
        PackageRuntime(
            "tensorflow", "tflite", "tensorflow", "tensorflow.lite.python.interpreter", "train", for_devices=False
        ),
        PackageRuntime("onnxruntime", "onnx", "onnxruntime", "onnxruntime", "device"),
        CompiledRuntime("c", "c"),
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
    """The versions of Python, mnistkit, numpy and the installed runtimes, for C of its compiler."""
    versions = installed_versions("mnistkit", "numpy")
    for runtime in RUNTIMES.values():
        versions |= runtime.versions()
    return versions
