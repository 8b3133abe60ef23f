"""The processor of this machine, from /proc/cpuinfo. Needs no package."""

import platform
import struct
from dataclasses import dataclass
from pathlib import Path

USERLANDS = {("aarch64", 32): "armv7l", ("x86_64", 32): "i686"}  # 32-bit userland on a 64-bit kernel


@dataclass(frozen=True)
class Cpu:
    """The first core of this machine."""

    architecture: str  # of the userland, such as "aarch64"
    fields: dict[str, str]  # of /proc/cpuinfo

    @property
    def name(self) -> str:
        """The name of the model; empty on ARM."""
        return self.fields.get("model name", "")

    @property
    def part(self) -> str:
        """The part number of an ARM core, such as "0xd0b" for a Cortex-A76; empty on x86."""
        return self.fields.get("CPU part", "")

    @property
    def features(self) -> list[str]:
        """The features: the field is called "flags" on x86 and "Features" on ARM."""
        return f"{self.fields.get('flags', '')} {self.fields.get('Features', '')}".split()

    @property
    def identity(self) -> str:
        """A text that differs if code that was compiled for one processor may not run on another."""
        return "\n".join((self.architecture, self.name, self.part, *sorted(self.features)))


def this_cpu() -> Cpu:
    """The processor that this process runs on."""
    fields: dict[str, str] = {}
    for line in _cpuinfo().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    machine = platform.machine()
    return Cpu(USERLANDS.get((machine, 8 * struct.calcsize("P")), machine), fields)


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
