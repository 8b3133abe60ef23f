"""An emulated board that has been built, and how to run something on it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulated_pi.releases import Release

# The user's way to packages is the board's too.
HANDED_ON = "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"


@dataclass(frozen=True)
class Board:
    """A board: `bin` holds its programs, `home` is where its user works."""

    name: str
    folder: Path
    release: Release
    cpu: str  # as QEMU calls it

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / "bin"

    @property
    def home(self) -> Path:
        """Where its user works."""
        return self.folder / "home"

    @property
    def root(self) -> Path:
        """Where its programs look for files before they look on this machine."""
        return self.folder / "root"

    @property
    def interpreter(self) -> Path:
        """Python itself, a program for the board's processor."""
        return self.folder.parent / "base" / "usr" / "bin" / f"python{self.release.python}"

    def run(self, *command: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the board's user would, to its end, whatever that is."""
        handed_on = {name: value for name, value in os.environ.items() if name.upper().startswith(HANDED_ON)}
        path = f"{self.bin}:/usr/bin:/bin"
        own = {"HOME": str(self.home), "USER": "pi", "LANG": "C.UTF-8", "PATH": path}
        # A name is looked for on the path of this process, and not of the new one.
        program = self.bin / str(command[0])
        return subprocess.run(
            [program if program.exists() else str(command[0]), *map(str, command[1:])],
            env=handed_on | own | (environment or {}),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
