"""The runtime of C artifacts: the compiler of the machine."""

from dataclasses import dataclass
from pathlib import Path

from mnistkit.core.errors import CompilerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.runtimes.compiler import INSTALL, find_compiler
from mnistkit.runtimes.runtime import Runtime, Session


@dataclass(frozen=True)
class CompiledRuntime(Runtime):
    """The C compiler, and ctypes: an artifact is compiled where it runs. Without a compiler, prebuilt libraries run."""

    @property
    def remedy(self) -> str:
        """A fix to suggest if the runtime fails."""
        return "export the model again for this processor, or use another --runtime"

    @property
    def install_command(self) -> str:
        """The command that installs a compiler."""
        return INSTALL

    @property
    def packages(self) -> tuple[str, ...]:
        """None."""
        return ()

    def installed(self) -> bool:
        """Always: whether an artifact needs a compiler depends on the artifact."""
        return True

    def require(self) -> None:
        """Do nothing."""

    def versions(self) -> dict[str, str]:
        """The version of the compiler."""
        try:
            return {"C compiler": find_compiler().version}
        except CompilerError:
            return {}

    def preload(self) -> None:
        """Find the compiler and its version, which identify a compiled library."""
        from mnistkit.runtimes import c  # noqa: F401  # numpy and ctypes

        self.versions()

    def prepare(self, artifact: Path, *, trust_code: bool = False, progress: Progress = SILENT) -> None:
        """Compile the artifact; raises the errors of `get_library`."""
        from mnistkit.runtimes.generated_code import get_library

        get_library(artifact, trust_code=trust_code, progress=progress)

    def _open(self, artifact: Path, batch: int, threads: int, *, trust_code: bool) -> Session:
        from mnistkit.runtimes import c

        return c.open_session(artifact, batch, trust_code=trust_code)
