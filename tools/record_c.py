"""Records what generated C takes beside LiteRT, in docs/records/c-instructions.json, for docs/c-format.md.

    python tools/record_c.py [NETWORK…]    record these networks, or all (about ten minutes)

The networks are `cnn` with the weights of the tests, `edge`, and three networks with other layers. Those have initial
weights of a fixed seed: but for the softmax of the C, no instruction of LiteRT or of the C depends on the weights. On
the emulated boards and on an emulated x86 processor with AVX2, inferences are called from Python, of LiteRT and of the
C alike.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import c_records
import networks
from c_records import ArtifactCost, CInstructions, LibrarySize, MicrocontrollerCost, NetworkCost
from emulated_pi import counting, releases, userland
from generated_code import counts
from generated_code.firmware import run_firmware
from generated_code.processors import PROCESSORS
from instructions import blocks, cycles, inferences
from instructions.inferences import Machine
from mnistkit.bundle import Bundle, Target, library_name
from mnistkit.cli import terminal
from mnistkit.core import records
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, recipes
from mnistkit.training.keras_models import KerasModel, import_keras
from mnistkit.training.model import build_model
from mnistkit_export.exporter import export
from mnistkit_export.plan import ExportOptions
from mnistkit_export.preprocessing import PreprocessingOptions

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "tests" / "weights" / "cnn.npz"
OTHERS = "residual", "inverted-residual", "separable"  # of networks.py
NETWORKS = "cnn", "edge", *OTHERS
SEED = 1
IMAGES = 10  # that the firmware runs, to measure its stack
EXPORT = ExportOptions(
    formats=("tflite", "c"),
    quantizations=("float32", "dynamic", "int8"),
    preprocessing=PreprocessingOptions("raw"),
    accept_accuracy=True,
    targets=tuple(c_records.MACHINES),
    skip_blank=False,  # so that the cost is the same for each image
)


def models(data: Dataset) -> Iterator[tuple[str, KerasModel]]:
    """Each network by its name, with weights that are the same at each call."""
    cnn = build_model(recipes.find("cnn"), data.image_shape, data.classes)
    with np.load(WEIGHTS) as arrays:
        indices = [name for name in arrays if name.isdecimal()]
        cnn.set_weights([arrays[name] * arrays.get(f"{name}_scale", np.float32(1)) for name in indices])
    yield "cnn", cnn
    builds: dict[str, Callable[[], KerasModel]] = {
        "edge": lambda: build_model(recipes.find("edge"), data.image_shape, data.classes),
        **{name: partial(networks.build, networks.find(name)) for name in OTHERS},
    }
    for name, build in builds.items():
        import_keras().utils.set_random_seed(SEED)
        yield name, build()


def machines() -> dict[Target, Machine]:
    """The machines on which inferences are called from Python."""
    boards = {name: counting.machine(userland.get_board(name)) for name in c_records.MACHINES if name.startswith("pi")}
    return boards | {"x86-64-v3": Machine(("qemu-x86_64", "-cpu", "Haswell"), Path(sys.executable))}


def measure(
    name: str, bundle: Bundle, machines: dict[Target, Machine], advance: Callable[[float], None]
) -> NetworkCost:
    """Measure the network of a bundle everywhere."""
    plugin, test_set = blocks.build_plugin(userland.BUILD), bundle.file(bundle.manifest.test_set)
    costs = []
    for machine, emulated in machines.items():
        for artifact in bundle.manifest.artifacts:
            runtime = "c" if artifact.format == "c" else "litert"
            cost = inferences.measure(emulated, plugin, runtime, bundle.file(artifact), test_set)
            costs.append(ArtifactCost(machine, artifact.file, cost.instructions, cost.cycles))
            advance(1)
    firmware = [measure_microcontroller(bundle, processor, plugin) for processor in c_records.MICROCONTROLLERS]
    return NetworkCost(
        network=name,
        macs=bundle.manifest.provenance.source_model.macs,
        arena=firmware[0][1],
        artifacts=tuple(costs),
        libraries=tuple(LibrarySize(machine, library_size(bundle, machine)) for machine in machines),
        microcontrollers=tuple(cost for cost, _ in firmware),
    )


def library_size(bundle: Bundle, target: str) -> int:
    """The bytes of .text and .rodata in the library for a target."""
    tool = "aarch64-linux-gnu-size" if target.startswith("pi") else "size"
    library = bundle.path / library_name(c_records.C, target)
    lines = subprocess.run([tool, "-A", library], capture_output=True, text=True, check=True).stdout.splitlines()
    sections = {words[0]: int(words[1]) for words in map(str.split, lines) if len(words) == 3 and words[1].isdecimal()}
    return sections[".text"] + sections[".rodata"]


def measure_microcontroller(bundle: Bundle, name: str, plugin: Path) -> tuple[MicrocontrollerCost, int]:
    """The cost of the network on a microcontroller, and the bytes of its arena."""
    processor, images = PROCESSORS[name], np.asarray(bundle.evaluation_set().images[:IMAGES], np.uint8)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        program = counts.build(bundle.path / c_records.C, processor, Path(folder))
        instructions = blocks.count(counts.count(program, processor, plugin, images[0]))
        run = run_firmware(bundle.path, processor, images, Path(folder))
    return MicrocontrollerCost(name, instructions, run.flash, run.variables, run.stack), run.arena


def versions() -> dict[str, str]:
    """The versions of the runtimes, the compilers, QEMU and LLVM."""
    installed = counting.tool_versions(userland.get_board("pi5"))
    installed.pop("onnxruntime")
    for name in ("aarch64-linux-gnu-gcc", "arm-none-eabi-gcc", "gcc"):
        installed[name] = _output(name, "-dumpfullversion")
    return installed | {"llvm": _output("llvm-config-19", "--version")}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def unavailable_reason() -> str | None:
    """Why this machine can't measure; None if it can."""
    reasons = (PROCESSORS[name].unavailable_reason() for name in ("cortex-a72", "haswell", *c_records.MICROCONTROLLERS))
    emulation = releases.unavailable_reason(releases.COUNTING_PROGRAMS | cycles.PROGRAMS)
    return emulation or next(filter(None, reasons), None)


def record(cost: NetworkCost, versions: dict[str, str]) -> CInstructions:
    """Write the cost of a network to the record, and return the record. Costs from other versions are discarded."""
    costs = {cost.network: cost}
    if c_records.RECORD.exists() and (previous := c_records.load()).versions == versions:
        costs = {network.network: network for network in previous.networks} | costs
    updated = CInstructions(versions, tuple(costs[name] for name in NETWORKS if name in costs))
    records.write(c_records.RECORD, updated)
    return updated


def main(names: list[str]) -> None:
    """Measure and record the named networks, or all."""
    if reason := unavailable_reason():
        raise SystemExit(reason)
    data, progress, tools = mnist.load(), terminal.Terminal(), versions()
    with progress.task("building the emulated boards"):
        emulated = machines()
    for name, model in models(data):
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            keras_models.save(model, Path(folder) / "model.keras")
            bundle = export(Path(folder) / "model.keras", data, Path(folder) / "bundle", EXPORT)
            with progress.task(f"measuring {name}", len(emulated) * len(bundle.manifest.artifacts)) as advance:
                updated = record(measure(name, bundle, emulated, advance), tools)
    for table in (c_records.instructions_table, c_records.sizes_table, c_records.microcontrollers_table):
        terminal.show(table(updated))


if __name__ == "__main__":
    main(sys.argv[1:])
