"""An emulated board that has been built, and the way to run commands on it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulated_pi.releases import Release

FORWARDED = "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"  # the board uses the user's package index


@dataclass(frozen=True)
class Board:
    """An emulated board."""

    name: str
    folder: Path
    release: Release
    cpu: str  # QEMU's name

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return self.folder / "bin"

    @property
    def home(self) -> Path:
        """The home folder of its user."""
        return self.folder / "home"

    @property
    def root(self) -> Path:
        """The folder where its programs look for a file before they look on this machine."""
        return self.folder / "root"

    @property
    def interpreter(self) -> Path:
        """The Python executable, built for the board's architecture."""
        return self.folder.parent / "base" / "usr" / "bin" / f"python{self.release.python}"

    def run(self, *command: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the board's user. A nonzero exit code is not an error."""
        forwarded = {name: value for name, value in os.environ.items() if name.upper().startswith(FORWARDED)}
        board = {"HOME": str(self.home), "USER": "pi", "LANG": "C.UTF-8", "PATH": f"{self.bin}:/usr/bin:/bin"}
        name, *arguments = map(str, command)
        program = self.bin / name  # subprocess would search the PATH of this process
        return subprocess.run(
            [program if program.exists() else name, *arguments],
            env=forwarded | board | (environment or {}),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
