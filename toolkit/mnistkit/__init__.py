"""Train a small Keras network, export it for the edge, verify accuracy parity, and measure latency.

`load` opens an exported model for inference, on a workstation or on a board.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnistkit.core.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from mnistkit.classifier import Classifier

__all__ = ["__version__", "load"]


def load(
    bundle: Path | str,
    artifact: str | None = None,
    runtime: str | None = None,
    threads: int = 1,
    *,
    trust_code: bool = False,
) -> Classifier:
    """Open an artifact of a bundle for inference.

    `artifact` is the name of its file, such as "model.int8.tflite", by default the first that an installed runtime
    runs; `runtime` is a name such as "litert", by default the first installed one. Checks the SHA-256 of every file.
    An artifact in C runs in this process; `trust_code` runs it even if it was made on another machine. Raises
    BundleError if the bundle is incomplete or corrupt, ModelError if it has no such artifact, MissingExtraError if the
    runtime is not installed, UntrustedCodeError if the code is not trusted, CompilerError if it can't be compiled,
    SessionError if the runtime can't load the artifact.
    """
    from mnistkit.classifier import open_classifier

    return open_classifier(bundle, artifact, runtime, threads, trust_code=trust_code)
