"""What machine a result is from, and what state it was in. Everything is read from files and nothing is changed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
ZONES = Path("/sys/class/thermal")
VENDOR, HYPERVISOR = Path("/sys/class/dmi/id/sys_vendor"), Path("/sys/hypervisor/type")
# The features that kernels of int8 and float networks are chosen by; x86 lists some hundred more.
X86_FEATURES = {"sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"}
ARM_FEATURES = {"neon", "vfpv4", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
ELF_MACHINES = {3: "x86", 62: "x86_64", 40: "arm", 183: "aarch64", 243: "riscv64"}
# Bits of the firmware's get_throttled: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
THROTTLED = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
FIRMWARE = ("measure_clock", "arm"), ("measure_temp",), ("get_throttled",)
FIRMWARE_ANSWER = re.compile(r"[^=]*=(0x[0-9a-fA-F]+|[0-9.]+(?:'C)?)")
PAST_BITS = 16  # the same bits once more, so far up: since it was started


@dataclass(frozen=True)
class Machine:
    """A host: what does not change while it runs."""

    cpu: str  # the board's name, where it has one
    cores: int
    architecture: str
    kernel: str
    features: tuple[str, ...] = ()  # of the CPU, those that fast kernels need
    bits: int = 64  # of the userland
    page_size: int = 4096  # bytes
    libc: str = ""
    governors: tuple[str, ...] = ()
    maximum_mhz: float | None = None
    virtual: bool = False  # a virtual machine
    emulated: bool = False  # another processor's instructions are translated: times mean nothing


@dataclass(frozen=True)
class MachineState:
    """What changes while it runs."""

    mhz: float | None  # of the fastest core
    celsius: float | None  # of the hottest zone
    load: float  # of one minute
    throttled: int | None  # the Raspberry Pi firmware's bits


def this_machine() -> Machine:
    """The machine that this runs on."""
    info = _cpuinfo()
    maxima = [khz for khz in map(_number, CPUS.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")) if khz]
    return Machine(
        cpu=_text(Path("/proc/device-tree/model")) or info.get("model name", "") or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        architecture=platform.machine(),
        kernel=f"{platform.system()} {platform.release()}",
        features=tuple(sorted((X86_FEATURES | ARM_FEATURES) & set(_flags(info)))),
        bits=8 * struct.calcsize("P"),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        libc=" ".join(platform.libc_ver()).strip(),
        governors=tuple(sorted({*map(_text, CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""})),
        maximum_mhz=max(maxima) / 1000 if maxima else None,
        virtual="hypervisor" in _flags(info) or _text(VENDOR) == "QEMU" or bool(_text(HYPERVISOR)),
        emulated=_is_emulated(),
    )


def read_state() -> MachineState:
    """How the machine is now."""
    clocks = [khz for khz in map(_number, CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")) if khz]
    zones = [millis for millis in map(_number, ZONES.glob("thermal_zone*/temp")) if millis is not None]
    # The kernel tells what clock it asked for; a Raspberry Pi's firmware what there is.
    hertz, celsius, bits = (_firmware(*words) for words in FIRMWARE)
    return MachineState(
        mhz=float(hertz) / 1e6 if hertz else max(clocks) / 1000 if clocks else None,
        celsius=float(celsius.removesuffix("'C")) if celsius else max(zones) / 1000 if zones else None,
        load=round(os.getloadavg()[0], 2),
        throttled=int(bits, 16) if bits else None,
    )


def throttling(bits: int) -> tuple[list[str], list[str]]:
    """What the firmware's bits say: what is so now, and what has been since the board was started."""
    now = [name for bit, name in THROTTLED.items() if bits >> bit & 1]
    since = [name for bit, name in THROTTLED.items() if bits >> (bit + PAST_BITS) & 1]
    return now, since


def _firmware(*words: str) -> str:
    """What `vcgencmd` answers, after the equals sign; nothing where there is none, or it can't tell."""
    command = shutil.which("vcgencmd")
    if not command:
        return ""
    try:
        done = subprocess.run([command, *words], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = FIRMWARE_ANSWER.fullmatch(done.stdout.strip())
    return found[1] if found else ""


def _is_emulated() -> bool:
    """Whether this process is a program for another processor, which an emulator runs.

    The emulator shows a process its own program under /proc/self/exe, and forgets to under /proc/self/task. Not so
    sys.executable: where nothing else hands such programs to the emulator, that is a script which does.
    """
    ours = ELF_MACHINES.get(_elf_machine(Path("/proc/self/exe")), "")
    running = ELF_MACHINES.get(_elf_machine(Path(f"/proc/self/task/{threading.get_native_id()}/exe")), "")
    return bool(running and ours) and running != ours


def _elf_machine(program: Path) -> int:
    """The number of the processor that it is for; 0 where it is no program, or can't be read."""
    try:
        with program.open("rb") as file:
            header = file.read(20)
    except OSError:
        return 0
    return int.from_bytes(header[18:20], sys.byteorder) if header[:4] == b"\x7fELF" else 0


def _cpuinfo() -> dict[str, str]:
    """The fields of the first core."""
    fields: dict[str, str] = {}
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def _flags(info: dict[str, str]) -> list[str]:
    """What the CPU can do: x86 calls it flags, ARM features."""
    return f"{info.get('flags', '')} {info.get('Features', '')}".split()


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    """What stands there; nothing where it can't be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
