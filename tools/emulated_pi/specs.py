"""The specifications of the boards, and the system files that identify each one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORES = 4
CPUS = "sys/devices/system/cpu"
FEATURES_32 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32"
GOVERNORS = "conservative ondemand userspace powersave performance schedutil"


@dataclass(frozen=True)
class Cache:
    """A cache of a core."""

    level: int
    kind: str
    kilobytes: int
    ways: int
    shared: bool = False  # among all cores


@dataclass(frozen=True)
class Spec:
    """The specification of a board."""

    model: str
    cpu: str  # QEMU's name
    cpu_part: int  # ARM's part number
    cpu_variant: int
    cpu_revision: int
    features: str
    revision: str  # of the board
    min_khz: int
    max_khz: int
    caches: tuple[Cache, ...]


SPECS = {
    "pi3": Spec(
        model="Raspberry Pi 3 Model B Rev 1.2",
        cpu="cortex-a53",
        cpu_part=0xD03,
        cpu_variant=0,
        cpu_revision=4,
        features="fp asimd evtstrm crc32 cpuid",
        revision="a02082",
        min_khz=600_000,
        max_khz=1_200_000,
        caches=(Cache(1, "Data", 32, 4), Cache(1, "Instruction", 32, 2), Cache(2, "Unified", 512, 16, shared=True)),
    ),
    "pi4": Spec(
        model="Raspberry Pi 4 Model B Rev 1.5",
        cpu="cortex-a72",
        cpu_part=0xD08,
        cpu_variant=0,
        cpu_revision=3,
        features="fp asimd evtstrm crc32 cpuid",
        revision="c03115",
        min_khz=600_000,
        max_khz=1_800_000,
        caches=(Cache(1, "Data", 32, 2), Cache(1, "Instruction", 48, 3), Cache(2, "Unified", 1024, 16, shared=True)),
    ),
    "pi5": Spec(
        model="Raspberry Pi 5 Model B Rev 1.0",
        cpu="cortex-a76",
        cpu_part=0xD0B,
        cpu_variant=4,
        cpu_revision=1,
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        revision="c04170",
        min_khz=1_500_000,
        max_khz=2_400_000,
        caches=(
            Cache(1, "Data", 64, 4),
            Cache(1, "Instruction", 64, 4),
            Cache(2, "Unified", 512, 8),
            Cache(3, "Unified", 2048, 16, shared=True),
        ),
    ),
}


def write_system_files(root: Path, spec: Spec, bits: int) -> None:
    """Write the board's files of /proc and /sys below `root`; `bits` is the word size of its programs."""
    for name, text in _system_files(spec, bits):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _system_files(spec: Spec, bits: int) -> Iterator[tuple[str, str]]:
    """The path below the root and the content of each file."""
    yield "proc/cpuinfo", _cpuinfo(spec, bits)
    yield "proc/device-tree/model", f"{spec.model}\0"
    yield "sys/firmware/devicetree/base/model", f"{spec.model}\0"
    yield "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"
    yield "sys/class/thermal/thermal_zone0/temp", "48312\n"
    yield "sys/class/dmi/id/sys_vendor", ""  # a Pi has none; the host may be a virtual machine
    cores = f"0-{CORES - 1}\n"
    yield from ((f"{CPUS}/{name}", cores) for name in ("possible", "present", "online"))
    yield f"{CPUS}/offline", "\n"
    for core in range(CORES):
        for name, value in (*_clock(spec), *_topology(core), *_caches(spec, core), _midr(spec)):
            yield f"{CPUS}/cpu{core}/{name}", f"{value}\n"


def _cpuinfo(spec: Spec, bits: int) -> str:
    fields = {
        "BogoMIPS": "108.00",
        "Features": spec.features if bits == 64 else FEATURES_32,
        "CPU implementer": "0x41",
        "CPU architecture": "8" if bits == 64 else "7",
        "CPU variant": f"{spec.cpu_variant:#x}",
        "CPU part": f"{spec.cpu_part:#05x}",
        "CPU revision": str(spec.cpu_revision),
    }
    core = "".join(f"{name}\t: {value}\n" for name, value in fields.items())
    cores = "".join(f"processor\t: {number}\n{core}\n" for number in range(CORES))
    return f"{cores}Revision\t: {spec.revision}\nSerial\t\t: 10000000deadbeef\nModel\t\t: {spec.model}\n"


def _clock(spec: Spec) -> Iterator[tuple[str, object]]:
    for prefix in ("cpuinfo", "scaling"):
        yield f"cpufreq/{prefix}_min_freq", spec.min_khz
        yield f"cpufreq/{prefix}_max_freq", spec.max_khz
    yield "cpufreq/scaling_cur_freq", spec.max_khz
    yield "cpufreq/scaling_governor", "ondemand"
    yield "cpufreq/scaling_available_governors", GOVERNORS
    yield "cpufreq/scaling_driver", "cpufreq-dt"


def _topology(core: int) -> Iterator[tuple[str, object]]:
    yield "topology/physical_package_id", 0
    yield "topology/cluster_id", 0
    yield "topology/core_id", core
    for name in ("core_siblings", "cluster_cpus", "package_cpus"):
        yield f"topology/{name}", f"{(1 << CORES) - 1:x}"
        yield f"topology/{name}_list", f"0-{CORES - 1}"
    for name in ("thread_siblings", "core_cpus"):
        yield f"topology/{name}", f"{1 << core:x}"
        yield f"topology/{name}_list", core


def _caches(spec: Spec, core: int) -> Iterator[tuple[str, object]]:
    for number, cache in enumerate(spec.caches):
        folder = f"cache/index{number}"
        yield f"{folder}/level", cache.level
        yield f"{folder}/type", cache.kind
        yield f"{folder}/size", f"{cache.kilobytes}K"
        yield f"{folder}/coherency_line_size", 64
        yield f"{folder}/ways_of_associativity", cache.ways
        yield f"{folder}/number_of_sets", cache.kilobytes * 1024 // 64 // cache.ways
        yield f"{folder}/shared_cpu_list", f"0-{CORES - 1}" if cache.shared else core
        yield f"{folder}/shared_cpu_map", f"{(1 << CORES) - 1 if cache.shared else 1 << core:x}"


def _midr(spec: Spec) -> tuple[str, object]:
    """The main ID register, by which libraries identify the core."""
    register = 0x41 << 24 | spec.cpu_variant << 20 | 0xF << 16 | spec.cpu_part << 4 | spec.cpu_revision
    return "regs/identification/midr_el1", f"{register:#018x}"
