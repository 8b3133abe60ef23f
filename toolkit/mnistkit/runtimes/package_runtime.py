"""A runtime that pip installs."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mnistkit.core.packages import install_command, missing_package, package_versions
from mnistkit.core.progress import SILENT, Progress
from mnistkit.runtimes.runtime import Runtime, Session


@dataclass(frozen=True)
class PackageRuntime(Runtime):
    """A package that runs artifacts. The module of this folder named like the format calls it."""

    distribution: str
    module: str
    extra: str
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

    @property
    def packages(self) -> tuple[str, ...]:
        """The package."""
        return (self.distribution,)

    def installed(self) -> bool:
        """Whether the package is installed; does not import it."""
        return importlib.util.find_spec(self.module.partition(".")[0]) is not None

    def require(self) -> None:
        """Raise MissingExtraError, with the pip command, if the package is not installed."""
        if not self.installed():
            raise missing_package(f"the runtime {self.name}", self.extra)

    def versions(self) -> dict[str, str]:
        """The version of the package."""
        return package_versions(self.distribution)

    def preload(self) -> None:
        """Import the package ahead of `open`; raises MissingExtraError if it is not installed."""
        self.require()
        self._code().import_runtime(self.module)

    def prepare(self, artifact: Path, *, trust_code: bool = False, progress: Progress = SILENT) -> None:
        """Do nothing."""

    def _open(self, artifact: Path, batch: int, threads: int, *, trust_code: bool) -> Session:
        session: Session = self._code().open_session(self.module, artifact, batch, threads)
        return session

    def _code(self) -> ModuleType:
        return importlib.import_module(f"{__package__}.{self.format}")
