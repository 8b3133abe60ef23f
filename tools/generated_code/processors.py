"""The processors that generated C is checked on, and how it is compiled and emulated for them."""

from dataclasses import dataclass
from shutil import which

# The Debian package of each program. Compilers come with binutils, for which no program is named.
PACKAGES = {
    "gcc": "gcc",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "qemu-x86_64": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
}


@dataclass(frozen=True)
class Processor:
    """A processor. One without an operating system is on a board that QEMU emulates with its memories."""

    prefix: str  # of the names of the compiler and its tools
    flags: tuple[str, ...]
    emulator: tuple[str, ...]  # the command without the program; empty if programs run on this machine
    board: str = ""  # QEMU's name; empty for Linux
    disassembly: tuple[str, ...] = ()  # options of objdump

    @property
    def compiler(self) -> str:
        """The name of the compiler."""
        return f"{self.prefix}gcc"

    def unavailable_reason(self) -> str | None:
        """Why this machine can't run programs for it; None if it can."""
        missing = [name for name in (self.compiler, *self.emulator[:1]) if not which(name)]
        packages = " ".join(PACKAGES[name] for name in missing)
        return f"{', '.join(missing)}: not installed (apt-get install {packages})" if missing else None


def _aarch64(cpu: str) -> Processor:
    return Processor("aarch64-linux-gnu-", (f"-mcpu={cpu}",), ("qemu-aarch64", "-cpu", cpu))


def _microcontroller(board: str, cpu: str, *flags: str, disassembly: tuple[str, ...] = ()) -> Processor:
    options = f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=hard", *flags
    # Without a character device, QEMU writes the messages of the program to the standard error output.
    messages = "-chardev", "stdio,id=messages", "-semihosting-config", "enable=on,target=native,chardev=messages"
    emulator = "qemu-system-arm", "-M", board, "-display", "none", "-monitor", "none", "-serial", "none", *messages
    return Processor("arm-none-eabi-", options, emulator, board, disassembly)


PROCESSORS = {
    "cortex-a53": _aarch64("cortex-a53"),
    "cortex-a72": _aarch64("cortex-a72"),
    "cortex-a76": _aarch64("cortex-a76"),
    # 32-bit: a Raspberry Pi 2 and, as far as QEMU can tell, the 32-bit system of a Pi 3 or 4.
    "cortex-a7": Processor(
        "arm-linux-gnueabihf-", ("-mcpu=cortex-a7", "-mfpu=neon-vfpv4"), ("qemu-arm", "-cpu", "cortex-a7")
    ),
    "haswell": Processor("", ("-march=haswell",), ("qemu-x86_64", "-cpu", "Haswell")),
    "native": Processor("", ("-march=native",), ()),
    "cortex-m4": _microcontroller("mps2-an386", "cortex-m4", "-mfpu=fpv4-sp-d16"),
    "cortex-m33": _microcontroller("mps2-an505", "cortex-m33"),
    # objdump does not see in the program that it has MVE instructions.
    "cortex-m55": _microcontroller("mps3-an547", "cortex-m55", disassembly=("-m", "armv8.1-m.main")),
}
MICROCONTROLLERS = [name for name, processor in PROCESSORS.items() if processor.board]
