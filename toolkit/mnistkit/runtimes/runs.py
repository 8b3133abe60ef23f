"""The artifacts of a bundle that run on this machine, and those that don't, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnistkit.core.errors import MissingCompilerError, MissingExtraError, MnistkitError, UntrustedCodeError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.runtimes import Runtime, artifacts_without_runtime, match_runtimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mnistkit.bundle import Artifact, Bundle


@dataclass(frozen=True)
class Unavailable:
    """An artifact that does not run on a runtime."""

    artifact: Artifact
    runtime: Runtime
    error: MnistkitError

    @property
    def is_failure(self) -> bool:
        """Whether something failed, rather than is not installed or not allowed."""
        return not isinstance(self.error, MissingExtraError | MissingCompilerError | UntrustedCodeError)


@dataclass(frozen=True)
class Runs:
    """The artifacts to run, each with its runtime, and those that can't run."""

    available: list[tuple[Artifact, Runtime]]
    unavailable: list[Unavailable]


def prepare_runs(
    bundle: Bundle, names: tuple[str, ...], progress: Progress = SILENT, *, for_devices: bool = False
) -> Runs:
    """Match the artifacts of a bundle with the named runtimes, or all installed ones, and compile those in C.

    Raises the errors of `match_runtimes`, and the first artifact's error if no artifact can run.
    """
    return prepare_artifacts(bundle, bundle.manifest.artifacts, names, progress, for_devices=for_devices)


def prepare_artifacts(
    bundle: Bundle,
    artifacts: Iterable[Artifact],
    names: tuple[str, ...],
    progress: Progress = SILENT,
    *,
    for_devices: bool = False,
) -> Runs:
    """As `prepare_runs`, for some artifacts of the bundle."""
    artifacts = tuple(artifacts)
    runs = Runs([], [])
    for artifact, runtime in match_runtimes(artifacts, names, for_devices=for_devices):
        try:
            runtime.prepare(bundle.file(artifact), trust_code=bundle.trust_code, progress=progress)
            runs.available.append((artifact, runtime))
        except MnistkitError as error:
            runs.unavailable.append(Unavailable(artifact, runtime, error))
    if not runs.available:
        raise runs.unavailable[0].error
    if not names:
        runs.unavailable.extend(_not_installed(artifacts, for_devices=for_devices))
    return runs


def _not_installed(artifacts: Iterable[Artifact], *, for_devices: bool) -> Iterator[Unavailable]:
    for artifact, runtime in artifacts_without_runtime(artifacts, for_devices=for_devices):
        error = MissingExtraError(f"{runtime.name} is not installed", runtime.install_command)
        yield Unavailable(artifact, runtime, error)
