"""The recorded cost of generated C beside that of LiteRT, and its tables in the docs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import markdown_table
from mnistkit.bundle import Target
from mnistkit.core import records

RECORD = Path(__file__).parent.parent / "docs" / "records" / "c-instructions.json"
MACHINES: dict[Target, str] = {
    "pi3": "Pi 3 (Cortex-A53)",
    "pi4": "Pi 4 (Cortex-A72)",
    "pi5": "Pi 5 (Cortex-A76)",
    "x86-64-v3": "x86 (AVX2)",
}
MICROCONTROLLERS = {"cortex-m4": "Cortex-M4", "cortex-m33": "Cortex-M33", "cortex-m55": "Cortex-M55"}
C, INT8 = "model.int8.c", "model.int8.tflite"


@dataclass(frozen=True)
class ArtifactCost:
    """The cost of one inference of an artifact on a machine, on one thread: only the call from Python."""

    machine: str
    artifact: str
    instructions: int
    cycles: int | None  # estimated; None if LLVM has no model of the processor


@dataclass(frozen=True)
class LibrarySize:
    """The size of the code and the constants that C becomes on a machine: the sections .text and .rodata."""

    machine: str
    bytes: int


@dataclass(frozen=True)
class MicrocontrollerCost:
    """The cost of the network on a microcontroller."""

    processor: str
    instructions: int  # of one inference
    flash: int  # bytes of code and constants
    variables: int  # bytes of RAM
    stack: int  # bytes of RAM that one inference takes at most

    def ram(self, arena: int) -> int:
        """All RAM that the network takes, in bytes."""
        return self.variables + self.stack + arena


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a network."""

    network: str
    macs: int
    arena: int  # bytes
    artifacts: tuple[ArtifactCost, ...]
    libraries: tuple[LibrarySize, ...]
    microcontrollers: tuple[MicrocontrollerCost, ...]

    def cost(self, machine: str, artifact: str) -> ArtifactCost:
        """The cost of an artifact on a machine."""
        return next(cost for cost in self.artifacts if (cost.machine, cost.artifact) == (machine, artifact))

    def best(self, machine: str) -> ArtifactCost:
        """The artifact for LiteRT with the fewest instructions on a machine."""
        costs = (cost for cost in self.artifacts if cost.machine == machine and cost.artifact != C)
        return min(costs, key=lambda cost: cost.instructions)


@dataclass(frozen=True)
class CInstructions(records.Record, schema="c-instructions", version=1):
    """The costs of several networks, and the versions of the tools that they were measured with."""

    versions: dict[str, str]
    networks: tuple[NetworkCost, ...]


def load() -> CInstructions:
    """The committed record; raises StorageError or RecordError if it can't be read."""
    return records.read(RECORD, CInstructions, "create it with 'make c-records'")


def instructions_table(record: CInstructions) -> str:
    """A Markdown table with one line for each network and machine: instructions of the C and of LiteRT."""
    columns = "network", "machine", "C", "LiteRT int8", "C / int8", "LiteRT's best", "C / best"
    rows = []
    for network in record.networks:
        for machine, name in MACHINES.items():
            code, int8, best = network.cost(machine, C), network.cost(machine, INT8), network.best(machine)
            counts = (code, int8, _ratio(code, int8), best, _ratio(code, best))
            cells = (cell if isinstance(cell, str) else f"{cell.instructions:,}" for cell in counts)
            rows.append((network.network, name, *cells))
    return f"{markdown_table.table(columns, rows, text_columns=2)}\n{_versions(record)}"


def cycles_table(record: CInstructions) -> str:
    """A Markdown table of the estimated cycles, on the machines that have an estimate."""
    columns = "network", "machine", "C", "LiteRT int8", "C / int8", "LiteRT float32"
    rows = []
    for network in record.networks:
        for machine, name in MACHINES.items():
            code, int8, float32 = (network.cost(machine, file) for file in (C, INT8, "model.float32.tflite"))
            if code.cycles and int8.cycles and float32.cycles:
                ratio = f"{code.cycles / int8.cycles:.2f}"
                rows.append(
                    (network.network, name, f"{code.cycles:,}", f"{int8.cycles:,}", ratio, f"{float32.cycles:,}")
                )
    return markdown_table.table(columns, rows, text_columns=2)


def sizes_table(record: CInstructions) -> str:
    """A Markdown table with one line for each network: MACs, code and constants on each machine, arena."""
    columns = "network", "MACs", *MACHINES.values(), "arena"
    rows = []
    for network in record.networks:
        sizes = {library.machine: library.bytes for library in network.libraries}
        cells = network.macs, *(sizes[machine] for machine in MACHINES), network.arena
        rows.append((network.network, *_with_commas(cells)))
    return markdown_table.table(columns, rows)


def microcontrollers_table(record: CInstructions) -> str:
    """A Markdown table with one line for each network and microcontroller: instructions, flash and RAM."""
    columns = "network", "processor", "instructions", "flash", "RAM", "of it arena", "of it stack"
    rows = []
    for network in record.networks:
        for cost in network.microcontrollers:
            cells = cost.instructions, cost.flash, cost.ram(network.arena), network.arena, cost.stack
            rows.append((network.network, MICROCONTROLLERS[cost.processor], *_with_commas(cells)))
    return markdown_table.table(columns, rows, text_columns=2)


def _ratio(code: ArtifactCost, other: ArtifactCost) -> str:
    return f"{code.instructions / other.instructions:.2f}"


def _with_commas(numbers: Iterable[int]) -> Iterable[str]:
    return (f"{number:,}" for number in numbers)


def _versions(record: CInstructions) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return f"Counted with {versions}.\n"
