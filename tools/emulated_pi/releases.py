"""The operating systems of the boards, and the programs that emulating them needs."""

import shutil
import subprocess
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAMS = {  # the Debian package of each program
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-arm-static": "qemu-user-static",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "tar": "tar",
}
COUNTING_PROGRAMS = {"qemu-aarch64": "qemu-user", "gcc": "gcc", "setarch": "util-linux"}
LIST_MIRRORS = "apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"


@dataclass(frozen=True)
class Release:
    """A release of the operating system."""

    name: str
    suite: str  # of Debian
    architecture: str  # Debian's name
    machine: str  # the kernel's name of the architecture
    bits: int
    python: str
    glibc: int  # minor version
    emulator: str
    extra: str  # of mnistkit
    system_packages: tuple[str, ...] = ()  # Debian packages in place of wheels that do not exist
    cpu: str | None = None  # QEMU's name; None for the board's own CPU

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages to install."""
        python = f"python{self.python}"
        return python, f"{python}-venv", "libstdc++6", "coreutils", "libc-bin", *self.system_packages

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that run on it."""
        tags = (f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 16, -1))
        return *tags, f"manylinux2014_{self.machine}"


_BOOKWORM = Release(
    name="bookworm",
    suite="bookworm",
    architecture="arm64",
    machine="aarch64",
    bits=64,
    python="3.11",
    glibc=36,
    emulator="qemu-aarch64",
    extra="device",
)
_TRIXIE = replace(_BOOKWORM, name="trixie", suite="trixie", python="3.13", glibc=41)
_BOOKWORM_32_BIT = replace(
    _BOOKWORM,
    name="bookworm-armhf",
    architecture="armhf",
    machine="armv7l",
    bits=32,
    emulator="qemu-arm",
    extra="tflite-runtime",
    system_packages=("python3-numpy", "libatomic1"),
    cpu="cortex-a7",
)
RELEASES = {release.name: release for release in (_BOOKWORM, _TRIXIE, _BOOKWORM_32_BIT)}


def requirements(*extras: str) -> list[str]:
    """The requirements of mnistkit and of these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [requirement for group in groups for requirement in group]


def unavailable_reason(programs: dict[str, str] | None = None) -> str | None:
    """Why this machine can't emulate a Pi, or lacks one of these additional programs; None if it can."""
    required = PROGRAMS | (programs or {})
    if missing := [name for name in required if not shutil.which(name)]:
        packages = " ".join(sorted({required[name] for name in missing}))
        return f"{', '.join(missing)}: not installed (apt-get install {packages})"
    if not KEYRING.exists():
        return f"{KEYRING} is missing (apt-get install debian-archive-keyring)"
    if not mirror():
        return "apt has no Debian mirror (apt-get update)"
    return None


def mirror() -> str | None:
    """The Debian mirror that this machine's apt uses; None if there is none."""
    targets = subprocess.run(LIST_MIRRORS, capture_output=True, text=True, check=True).stdout
    for line in targets.splitlines():
        address, component, origin = [*line.split(), "", ""][:3]
        if component == "main" and origin == "Debian" and "security" not in address:
            return address
    return None
