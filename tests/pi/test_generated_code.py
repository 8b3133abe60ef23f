"""Generated C on processors that this machine does not have: boards, 32-bit ARM, microcontrollers; and the examples.

The limits are what the project promises, without skipping of blank inputs. Instruction counts depend on no other load,
so they may be limits of a test.
"""

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import c_requirements
import numpy as np
import pytest
from numpy.typing import NDArray
from pi.cases import BoardFactory
from support import ROOT

import c_programs
import c_records
import pi_records
from emulated_pi import counting, userland
from generated_code import counts, predictions, processors
from generated_code.firmware import run_firmware
from generated_code.processors import PROCESSORS, Processor
from instructions import blocks, inferences
from instructions.inferences import Machine
from mnistkit.bundle import Target, open_bundle
from mnistkit.formats.tflite_file import TfliteFile
from mnistkit_export import cross_compilation
from mnistkit_export.c import generate

EXAMPLES = ROOT / "examples"
IMAGES, FIRMWARE_IMAGES = 50, 100
BYTES = {"flash": 105_000, "ram": 16_000}  # that the network may take on a microcontroller
RP2350_FLASH, RP2350_RAM_END = 0x10000000, 0x20082000
IMAGE_DEF = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
UF2_BLOCK = struct.Struct("<8I476sI")
UF2_MAGIC = 0x0A324655, 0x9E5D5157, 0x0AB16F30


@dataclass(frozen=True)
class Limit:
    """The most instructions that the C may take, as a share of those of a recorded artifact on LiteRT."""

    board: Target
    artifact: str
    share: float


LIMITS = [
    Limit("pi3", "model.dynamic.tflite", 0.67),
    Limit("pi4", "model.dynamic.tflite", 0.67),
    Limit("pi5", "model.int8.tflite", 0.63),
]
MICROCONTROLLER_LIMITS = {"cortex-m4": 4_000_000, "cortex-m33": 4_000_000, "cortex-m55": 1_000_000}
HASWELL_SHARE = 0.81  # of LiteRT's best

RecordProperty = Callable[[str, object], None]


def installed_processor(name: str) -> Processor:
    """The processor, if this machine compiles for it and emulates it."""
    reason = PROCESSORS[name].unavailable_reason()
    c_requirements.need(not reason, reason or "")
    return PROCESSORS[name]


@pytest.fixture(scope="session")
def images(cnn_bundle: Path) -> NDArray[np.uint8]:
    """The first test images."""
    return np.asarray(open_bundle(cnn_bundle).evaluation_set().images[:FIRMWARE_IMAGES], np.uint8)


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The counting plugin."""
    return blocks.build_plugin(userland.BUILD)


@pytest.fixture
def plain_code(cnn_bundle: Path, tmp_path: Path) -> Path:
    """The C of the network without skipping, so that its instructions do not depend on the image."""
    model = TfliteFile.from_bytes((cnn_bundle / c_records.INT8).read_bytes())
    return c_programs.write(generate(model, "the CNN of the tests"), tmp_path / "code")


@pytest.fixture
def library(plain_code: Path) -> Callable[[Target], Path]:
    """A function that compiles the C for a target; returns the path of the artifact, beside which the library is."""

    def compile(target: Target) -> Path:
        cross_compilation.compile_for(target, plain_code)
        return plain_code

    return compile


@pytest.mark.parametrize("name", PROCESSORS)
def test_probabilities_are_those_of_litert(name: str, cnn_bundle: Path, images: NDArray[np.uint8]) -> None:
    processor = installed_processor(name)
    kernels: c_programs.Kernels = "reference" if processor.board else "xnnpack"
    expected = c_programs.predict_tflite((cnn_bundle / c_records.INT8).read_bytes(), kernels, images[:IMAGES])
    found = predictions.predict(cnn_bundle / c_records.C, processor, images[:IMAGES])
    assert c_programs.differing_rows(found, expected) == []


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.board)
def test_instructions_on_a_board_are_within_the_limit(
    limit: Limit,
    board: BoardFactory,
    cnn_bundle: Path,
    library: Callable[[Target], Path],
    plugin: Path,
    record_property: RecordProperty,
) -> None:
    c_requirements.need_program("qemu-aarch64", "aarch64-linux-gnu-gcc")
    machine = counting.machine(board(limit.board, "bookworm"), cycles=False)
    cost = inferences.measure(machine, plugin, "c", library(limit.board), cnn_bundle / "testset.npz")
    litert = pi_records.load_baseline().by_key()[limit.board, limit.artifact, "litert"]
    share = cost.instructions / litert
    record_property("cost", f"{limit.board}: {cost.instructions:,} instructions, {share:.2f} of {limit.artifact}")
    assert share <= limit.share


def test_instructions_on_haswell_are_within_the_limit(
    cnn_bundle: Path, library: Callable[[Target], Path], plugin: Path, record_property: RecordProperty
) -> None:
    machine = Machine(installed_processor("haswell").emulator, Path(sys.executable))
    cost = inferences.measure(machine, plugin, "c", library("x86-64-v3"), cnn_bundle / "testset.npz")
    (recorded,) = (network for network in c_records.load().networks if network.network == "cnn")
    share = cost.instructions / recorded.best("x86-64-v3").instructions
    record_property("cost", f"haswell: {cost.instructions:,} instructions, {share:.2f} of LiteRT's best")
    assert share <= HASWELL_SHARE


@pytest.mark.parametrize("name", processors.MICROCONTROLLERS)
def test_firmware_predicts_what_the_reference_kernels_do(
    name: str,
    cnn_bundle: Path,
    plain_code: Path,
    images: NDArray[np.uint8],
    plugin: Path,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    processor = installed_processor(name)
    run = run_firmware(plain_code.parent, processor, images, tmp_path)
    expected = c_programs.predict_tflite((cnn_bundle / c_records.INT8).read_bytes(), "reference", images)
    assert run.labels == tuple(expected.argmax(axis=1))
    program = counts.build(plain_code, processor, tmp_path)
    instructions = blocks.count(counts.count(program, processor, plugin, images[0]))
    record_property("cost", f"{name}: {instructions:,} instructions, {run.flash:,} B of flash, {run.ram:,} B of RAM")
    assert instructions <= MICROCONTROLLER_LIMITS[name]
    assert run.flash <= BYTES["flash"]
    assert run.ram <= BYTES["ram"]


def make(example: str, *arguments: object) -> None:
    """Run the Makefile of an example and require that it succeeds without a warning."""
    command = "make", "--silent", "-C", str(EXAMPLES / example), *map(str, arguments)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_rp2350_image_has_what_the_boot_rom_needs(
    cnn_bundle: Path, images: NDArray[np.uint8], tmp_path: Path, record_property: RecordProperty
) -> None:
    c_requirements.need_program("arm-none-eabi-gcc", "make")
    images[0].tofile(tmp_path / "image.bin")
    make("rp2350", f"BUNDLE={cnn_bundle}", f"IMAGE={tmp_path / 'image.bin'}", f"BUILD={tmp_path}")
    firmware = (tmp_path / "firmware.bin").read_bytes()
    stack, *handlers = struct.unpack_from("<16I", firmware)
    assert stack == RP2350_RAM_END
    assert all(handler % 2 == 1 and 0 < handler - RP2350_FLASH < len(firmware) for handler in handlers)
    assert firmware[:4096].find(IMAGE_DEF) % 4 == 0
    assert images[0].tobytes() in firmware
    record_property("cost", f"rp2350: {len(firmware):,} B of flash, with the start code and an image")
    pages = [*UF2_BLOCK.iter_unpack((tmp_path / "firmware.uf2").read_bytes())]
    assert {(page[0], page[1], page[9]) for page in pages} == {UF2_MAGIC}
    assert b"".join(page[8][: page[4]] for page in pages)[: len(firmware)] == firmware
    assert [page[3] for page in pages] == [RP2350_FLASH + 256 * number for number in range(len(pages))]


def test_linux_example_classifies_an_image(cnn_bundle: Path, images: NDArray[np.uint8], tmp_path: Path) -> None:
    c_requirements.need_program("cc", "make")
    make("linux", f"BUNDLE={cnn_bundle}", f"BUILD={tmp_path}")
    expected = c_programs.predict_tflite((cnn_bundle / c_records.INT8).read_bytes(), "xnnpack", images[:3])
    for image, probabilities in zip(images, expected, strict=False):
        image.tofile(tmp_path / "image.bin")
        command = tmp_path / "classify", tmp_path / "image.bin"
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert output == f"{probabilities.argmax()} ({100 * probabilities.max():.1f}%)\n"
    for arguments in ((), (tmp_path / "nothing",), (ROOT / "LICENSE",)):
        assert subprocess.run([tmp_path / "classify", *arguments], capture_output=True, check=False).returncode
