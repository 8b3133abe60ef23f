"""The machine that a result comes from, and its state at that time. Reads system files and changes nothing."""

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

from mnistkit.core import records
from mnistkit.core.cpu import this_cpu

CPU_FOLDER = Path("/sys/devices/system/cpu")
THERMAL_FOLDER = Path("/sys/class/thermal")
VENDOR, HYPERVISOR = Path("/sys/class/dmi/id/sys_vendor"), Path("/sys/hypervisor/type")
# The CPU features by which int8 and float kernels are selected; x86 lists about a hundred more.
X86_FEATURES = {"sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"}
ARM_FEATURES = {"neon", "vfpv4", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
ELF_MACHINES = {3: "x86", 62: "x86_64", 40: "arm", 183: "aarch64", 243: "riscv64"}
# Bits of the firmware's get_throttled: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
THROTTLED = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
OCCURRED_SHIFT = 16  # each condition has a second bit, this far up: it has occurred since boot
FIRMWARE_OUTPUT = re.compile(r"[^=]*=(0x[0-9a-fA-F]+|[0-9.]+(?:'C)?)")


@dataclass(frozen=True)
class Machine:
    """The properties of a machine that do not change while it runs."""

    cpu: str  # the name of the board if the device tree has it, else of the CPU
    cores: records.Count
    architecture: str
    kernel: str
    features: tuple[str, ...] = ()  # CPU features that fast kernels need
    bits: records.Count = 64  # of the userland
    page_size: records.Count = 4096  # bytes
    libc: str = ""
    governors: tuple[str, ...] = ()
    maximum_mhz: records.NonNegative | None = None
    virtual: bool = False  # a virtual machine
    emulated: bool = False  # instructions are translated for another processor, so latencies are meaningless


@dataclass(frozen=True)
class MachineState:
    """The properties of a machine that change while it runs."""

    mhz: records.NonNegative | None  # clock of the fastest core
    celsius: float | None  # temperature of the hottest thermal zone
    load: records.NonNegative  # average over one minute
    throttled: records.Count | None  # bits of the Raspberry Pi firmware


def this_machine() -> Machine:
    """The machine that this process runs on."""
    cpu = this_cpu()
    maxima = [khz for khz in map(_number, CPU_FOLDER.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")) if khz]
    return Machine(
        cpu=_text(Path("/proc/device-tree/model")) or cpu.name or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        architecture=platform.machine(),
        kernel=f"{platform.system()} {platform.release()}",
        features=tuple(sorted((X86_FEATURES | ARM_FEATURES) & set(cpu.features))),
        bits=8 * struct.calcsize("P"),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        libc=" ".join(platform.libc_ver()).strip(),
        governors=tuple(sorted({*map(_text, CPU_FOLDER.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""})),
        maximum_mhz=max(maxima) / 1000 if maxima else None,
        virtual="hypervisor" in cpu.features or _text(VENDOR) == "QEMU" or bool(_text(HYPERVISOR)),
        emulated=_is_emulated(),
    )


def read_state() -> MachineState:
    """The current state of the machine."""
    clocks = [khz for khz in map(_number, CPU_FOLDER.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")) if khz]
    zones = [millis for millis in map(_number, THERMAL_FOLDER.glob("thermal_zone*/temp")) if millis is not None]
    # The kernel reports the clock that it requested; a Raspberry Pi's firmware reports the actual one.
    hertz = _firmware("measure_clock", "arm")
    celsius = _firmware("measure_temp").removesuffix("'C")
    bits = _firmware("get_throttled")
    return MachineState(
        mhz=float(hertz) / 1e6 if hertz else max(clocks) / 1000 if clocks else None,
        celsius=float(celsius) if celsius else max(zones) / 1000 if zones else None,
        load=round(os.getloadavg()[0], 2),
        throttled=int(bits, 16) if bits else None,
    )


def isolated_cpus() -> set[int]:
    """The cores on which the kernel schedules only what is pinned to them (the boot parameter isolcpus)."""
    cores: set[int] = set()
    for part in filter(None, _text(CPU_FOLDER / "isolated").split(",")):  # such as 1-3,5
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


def throttling(bits: int) -> tuple[list[str], list[str]]:
    """The conditions in the firmware's bits: those that hold now, and those that have occurred since boot."""
    current = [name for bit, name in THROTTLED.items() if bits >> bit & 1]
    occurred = [name for bit, name in THROTTLED.items() if bits >> (bit + OCCURRED_SHIFT) & 1]
    return current, occurred


def _firmware(*arguments: str) -> str:
    """The value that `vcgencmd` prints after the equals sign; empty if there is no vcgencmd or it fails."""
    command = shutil.which("vcgencmd")
    if not command:
        return ""
    try:
        completed = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = FIRMWARE_OUTPUT.fullmatch(completed.stdout.strip())
    return match[1] if match else ""


def _is_emulated() -> bool:
    """Whether an emulator runs this process, whose program is for another processor.

    QEMU's user mode shows a process its own program as /proc/self/exe, but itself as /proc/self/task/<id>/exe.
    sys.executable can't be used: without binfmt_misc it is a script that starts the emulator.
    """
    program = ELF_MACHINES.get(_elf_machine(Path("/proc/self/exe")))
    running = ELF_MACHINES.get(_elf_machine(Path(f"/proc/self/task/{threading.get_native_id()}/exe")))
    return program is not None and running is not None and program != running


def _elf_machine(program: Path) -> int:
    """The ELF machine number of a program; 0 if it is not an ELF file or can't be read."""
    try:
        with program.open("rb") as file:
            header = file.read(20)
    except OSError:
        return 0
    return int.from_bytes(header[18:20], sys.byteorder) if header[:4] == b"\x7fELF" else 0


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    """The content of a file; empty if it can't be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
