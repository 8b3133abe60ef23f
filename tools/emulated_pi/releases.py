"""What a userland is made of, and what making it needs of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAMS = {  # and the package of each
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-arm-static": "qemu-user-static",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "tar": "tar",
}
FOR_COUNTING = {"qemu-aarch64": "qemu-user", "gcc": "gcc", "setarch": "util-linux"}
MIRRORS = "apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"


@dataclass(frozen=True)
class Release:
    """A system as people have it on their boards."""

    name: str
    suite: str  # Debian's
    architecture: str  # Debian's word for it
    machine: str  # the kernel's
    bits: int
    python: str
    glibc: int  # the second number of its version
    emulator: str
    extra: str
    system_packages: tuple[str, ...] = ()  # for which there are no wheels
    cpu: str | None = None  # QEMU's name, where it has none of the boards' own

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian's packages."""
        python = f"python{self.python}"
        return python, f"{python}-venv", "libstdc++6", "coreutils", "libc-bin", *self.system_packages

    @property
    def platforms(self) -> tuple[str, ...]:
        """The tags of wheels that run there."""
        tags = (f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 16, -1))
        return *tags, f"manylinux2014_{self.machine}"


ARM64 = "arm64", "aarch64", 64
RELEASES = {
    release.name: release
    for release in (
        Release("bookworm", "bookworm", *ARM64, "3.11", 36, "qemu-aarch64", "device"),
        Release("trixie", "trixie", *ARM64, "3.13", 41, "qemu-aarch64", "device"),
        Release(
            "bookworm-armhf",
            "bookworm",
            "armhf",
            "armv7l",
            32,
            "3.11",
            36,
            "qemu-arm",
            "tflite-runtime",
            ("python3-numpy", "libatomic1"),  # numpy has no wheels for it
            cpu="cortex-a7",
        ),
    )
}


def requirements(*extras: str) -> list[str]:
    """What mnistkit itself requires, and with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [requirement for each in lists for requirement in each]


def why_not(programs: dict[str, str] | None = None) -> str | None:
    """Why there can be no emulated Pi on this machine, or nothing that needs these programs too; None where it can."""
    needed = PROGRAMS | (programs or {})
    if lacking := [name for name in needed if not shutil.which(name)]:
        packages = " ".join(sorted({needed[name] for name in lacking}))
        return f"{', '.join(lacking)}: not installed (apt-get install {packages})"
    if not KEYRING.exists():
        return f"{KEYRING} is missing (apt-get install debian-archive-keyring)"
    if not mirror():
        return "apt knows of no Debian mirror (apt-get update)"
    return None


def mirror() -> str | None:
    """The Debian mirror that apt is set to on this machine."""
    done = subprocess.run(MIRRORS, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        address, component, origin = [*line.split(), "", ""][:3]
        if component == "main" and origin == "Debian" and "security" not in address:
            return address
    return None
