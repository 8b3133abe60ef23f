"""mnistkit on emulated boards: real wheels, real instruction sets, the real bundle; nothing of time.

`make test-pi` runs those of some minutes; `make test-pi-full` those marked `full` too, on all 10,000 images.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from pi.cases import MOST_OFF, Answered, Case
from support import ROOT, Cli

from emulated_pi import boards, userland
from emulated_pi.board import Board
from mnistkit.core import records
from mnistkit.device.doctor import DoctorReport
from mnistkit.verify.predictions import Predictions

Boards = Callable[[str, str], Board]
QUICK = [Case("pi4", images=300), Case("pi5", images=300)]
FULL = [Case("pi3"), Case("pi4"), Case("pi5"), Case("pi5", "trixie")]
CASES = [*QUICK, *(pytest.param(case, marks=pytest.mark.full) for case in FULL)]
RECORDS = ROOT / "docs" / "records" / "cnn"
STEP = 1 / 256  # of int8 probabilities
# A tenth of what TensorFlow takes; and with one of the two runtimes alone, which a small board has space for.
MOST_MEGABYTES, MOST_ALONE = 190, 150
# sdot v0.4s, v1.16b, v2.16b and ret, written to memory and called: what int8 is fast by on a Pi 5, and no Pi 4 has.
DOT_PRODUCT = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("2094824e" "c0035fd6"))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


def last_scale(bundle: Path) -> float:
    """The step of the integers that the softmax of the int8 ONNX file is taken of."""
    graph = onnx.load(bundle / "model.int8.onnx").graph
    made_by = {name: node for node in graph.node for name in node.output}
    scale = made_by[made_by["probabilities"].input[0]].input[1]
    return float(next(numpy_helper.to_array(each) for each in graph.initializer if each.name == scale))


def integers(probabilities: NDArray[np.float32], scale: float) -> NDArray[np.int64]:
    """The integers before a softmax, up to a constant an image, [N, classes]: logarithms bring them back."""
    logarithms = np.log(probabilities.astype(np.float64))
    steps = (logarithms - logarithms.max(axis=1, keepdims=True)) / scale
    assert abs(steps - steps.round()).max() < 0.01
    whole: NDArray[np.int64] = steps.round().astype(np.int64)
    return whole


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_board_answers_as_this_machine_does(
    case: Case, cnn: Path, answered: Callable[[Case], list[Answered]]
) -> None:
    rows = answered(case)
    assert [row.runtime for row in rows] == ["litert"] * 4 + ["onnxruntime"] * 3
    for row in rows:
        assert row.relabelled == 0, row.artifact
        if row.quantization != "int8":
            assert row.differences.max() <= MOST_OFF[row.quantization], row.artifact
        elif row.runtime == "onnxruntime":  # its softmax is in float32, after the last integers
            assert row.differences.max() <= MOST_OFF["float32"]
            assert (integers(row.here, last_scale(cnn)) == integers(row.there, last_scale(cnn))).all()
        else:
            assert row.differences.max() <= STEP, row.artifact
            assert (row.differences > 0).mean() <= 0.01, row.artifact


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_board_knows_what_it_is(case: Case, recorded: Callable[[Case], Predictions]) -> None:
    machine = recorded(case).record.machine
    assert (machine.cpu, machine.cores, machine.architecture) == (boards.FACTS[case.board].model, 4, "aarch64")
    assert ("asimddp" in machine.features) == (case.board == "pi5")
    assert machine.maximum_mhz == boards.FACTS[case.board].fastest / 1000
    assert machine.emulated
    assert not machine.virtual


@pytest.mark.parametrize(("name", "code"), [("pi3", -signal.SIGILL), ("pi4", -signal.SIGILL), ("pi5", 0)])
def test_instructions_that_a_processor_lacks_fault(board: Boards, name: str, code: int) -> None:
    assert board(name, "bookworm").run("python3", "-c", DOT_PRODUCT).returncode == code


def test_bench_refuses_to_time_an_emulation(board: Boards, cnn: Path) -> None:
    done = board("pi5", "bookworm").run("mnistkit", "bench", cnn)
    assert done.returncode == 2
    assert "this processor is emulated, and the time that takes says nothing of a device" in done.stderr
    assert "measure on the device" in done.stderr


@pytest.mark.parametrize("artifact", ["model.float32.tflite", "model.int8.onnx"])
def test_predict_shows_there_what_it_shows_here(board: Boards, cnn: Path, mnistkit: Cli, artifact: str) -> None:
    arguments = "predict", cnn, "--artifact", artifact, "--index", 3
    there = board("pi4", "bookworm").run("mnistkit", *arguments)
    here = mnistkit(*arguments)
    assert (there.returncode, there.stdout) == (here.code, here.out) == (0, here.out)


def test_recommend_reads_records_that_were_copied_there(board: Boards, mnistkit: Cli) -> None:
    arguments = "recommend", RECORDS / "verify.json", RECORDS / "bench.json"
    there = board("pi4", "bookworm").run("mnistkit", *arguments)
    here = mnistkit(*arguments)
    assert (there.returncode, there.stdout) == (here.code, here.out) == (0, here.out)


def test_the_device_extra_is_small(board: Boards) -> None:
    wheels = board("pi4", "bookworm").folder.parent / userland.WHEELS
    found = (path for path in wheels.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    sizes = {path: path.stat().st_size for path in found}
    assert sum(sizes.values()) < MOST_MEGABYTES * 10**6
    for name in ("onnxruntime", "ai_edge_litert"):
        alone = sum(size for path, size in sizes.items() if name not in path.relative_to(wheels).parts)
        assert alone < MOST_ALONE * 10**6
    assert not (wheels / "tensorflow").exists()


@pytest.mark.parametrize("name", ["pi4", "pi5"])
def test_doctor_knows_the_board_and_finds_what_is_wrong_with_it(board: Boards, name: str) -> None:
    done = board(name, "bookworm").run("mnistkit", "doctor", "--json", "-")
    report = records.parse(done.stdout.encode(), DoctorReport, name, "")
    assert report.machine.cpu == boards.FACTS[name].model
    assert {found.runtime: found.loads for found in report.runtimes} == {
        "litert": True,
        "onnxruntime": True,
        "tflite-runtime": False,
        "tensorflow": False,
    }
    assert all(found.wheel for found in report.runtimes)  # there is one of each for this Python and processor
    told = [finding.what.partition(":")[0] for finding in report.findings if "load" not in finding.what]
    assert told == [
        "this processor is emulated",
        "the governor is ondemand",
    ]
    assert done.returncode == 0


def test_doctor_tells_of_a_board_that_is_held_back(board: Boards) -> None:
    done = board("pi4", "bookworm").run("mnistkit", "doctor", environment={"PI_THROTTLED": "0x50005"})
    assert done.returncode == 1
    assert "problem: the board is held back: under-voltage\n    use the board's own power supply" in done.stdout
    assert "problem: the board is held back: throttled\n    cool the board" in done.stdout
