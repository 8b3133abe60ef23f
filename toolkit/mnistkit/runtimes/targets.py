"""The processors that C can be compiled for in advance, and which of them this machine has."""

from collections.abc import Iterable
from dataclasses import dataclass

from mnistkit.core.cpu import Cpu

X86_64_V3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
VNNI = {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"}


@dataclass(frozen=True)
class Target:
    """A kind of processor. The names of features are those of /proc/cpuinfo."""

    architecture: str
    gcc: tuple[str, ...]  # options that select the processor
    zig: tuple[str, ...]
    features: frozenset[str]  # that the compiler may use
    part: str = ""  # of the ARM core that the code is scheduled for

    def fits(self, cpu: Cpu) -> bool:
        """Whether code for the target runs on a processor."""
        return self.architecture == cpu.architecture and self.features <= set(cpu.features)


def _pi(core: str, part: str, *features: str) -> Target:
    zig = "-target", "aarch64-linux-gnu", f"-mcpu={core.replace('-', '_')}"
    return Target("aarch64", (f"-mcpu={core}",), zig, frozenset({"asimd", "crc32", *features}), part)


def _x86(gcc: tuple[str, ...], zig: str, features: set[str]) -> Target:
    return Target("x86_64", gcc, ("-target", "x86_64-linux-gnu", f"-mcpu={zig}"), frozenset(features))


VNNI_OPTIONS = "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"
TARGETS = {  # from the oldest processor to the newest
    "pi3": _pi("cortex-a53", "0xd03"),
    "pi4": _pi("cortex-a72", "0xd08"),
    "pi5": _pi("cortex-a76", "0xd0b", "atomics", "asimdhp", "fphp", "asimddp", "lrcpc"),
    "x86-64-v3": _x86(("-march=x86-64-v3",), "x86_64_v3", X86_64_V3),
    "x86-64-vnni": _x86(
        ("-march=x86-64-v3", *VNNI_OPTIONS),
        "x86_64_v3+avx512f+avx512bw+avx512vl+avx512vnni",
        X86_64_V3 | VNNI,
    ),
}


def best_target(cpu: Cpu, names: Iterable[str] = tuple(TARGETS)) -> str | None:
    """The target among `names` whose code is the fastest on a processor; None if none of them runs on it."""
    fitting = [name for name, target in TARGETS.items() if name in set(names) and target.fits(cpu)]
    same_core = [name for name in fitting if cpu.part and TARGETS[name].part == cpu.part]
    return next(reversed(same_core or fitting), None)
