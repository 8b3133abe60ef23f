"""mnistkit on emulated boards, with real wheels, real instruction sets and the real bundle; no latency.

`make test-pi` runs the tests that take minutes; `make test-pi-full` also those marked `full`, on all 10,000 images.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from pi.cases import MAX_DIFFERENCE, BoardFactory, Case, ComparePredictions, without_compilers
from support import ROOT, Cli, add_library

from emulated_pi import userland
from emulated_pi.specs import SPECS
from mnistkit.bundle import Target, open_bundle
from mnistkit.cli import main
from mnistkit.core import records
from mnistkit.device.doctor import DoctorReport
from mnistkit.verify import predictions
from mnistkit.verify.predictions import Predictions
from mnistkit_export import cross_compilation

QUICK = [Case("pi4", images=300), Case("pi5", images=300)]
FULL = [Case("pi3"), Case("pi4"), Case("pi5"), Case("pi5", "trixie")]
CASES = [*QUICK, *(pytest.param(case, marks=pytest.mark.full) for case in FULL)]
RECORDS = ROOT / "docs" / "records" / "cnn"
OUTPUT_SCALE = 1 / 256  # of int8 probabilities in TFLite
MAX_DEVICE_MEGABYTES = 190  # a tenth of TensorFlow's size
MAX_ONE_RUNTIME_MEGABYTES = 150
# sdot v0.4s, v1.16b, v2.16b and ret, written to memory and called: the instruction that makes int8 fast on a Pi 5,
# which a Pi 3 and 4 lack.
DOT_PRODUCT = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("2094824e" "c0035fd6"))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


def logits_scale(bundle: Path) -> float:
    """The quantization scale of the logits, the input of the softmax, in the int8 ONNX file."""
    graph = onnx.load(bundle / "model.int8.onnx").graph
    producers = {name: node for node in graph.node for name in node.output}
    dequantize = producers[producers["probabilities"].input[0]]
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return float(numpy_helper.to_array(tensors[dequantize.input[1]]))


def quantized_logits(probabilities: NDArray[np.float32], scale: float) -> NDArray[np.int64]:
    """The integer logits relative to the largest of each image, [N, classes], from the logarithms of the softmax."""
    logarithms = np.log(probabilities.astype(np.float64))
    steps = (logarithms - logarithms.max(axis=1, keepdims=True)) / scale
    assert np.abs(steps - steps.round()).max() < 0.01
    logits: NDArray[np.int64] = steps.round().astype(np.int64)
    return logits


def int8_reference(bundle: Path, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """The probabilities of the int8 ONNX file on these test images, without graph optimizations.

    Then ONNX Runtime computes in float32 between the quantization operators. Its int8 kernels are no reference: those
    for x86 processors without VNNI saturate.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(bundle / "model.int8.onnx", options, ["CPUExecutionProvider"])
    images = open_bundle(bundle).evaluation_set().images[indices]
    probabilities: NDArray[np.float32] = session.run(None, {"image": images.astype(np.float32)})[0]
    return probabilities


@pytest.mark.parametrize("case", CASES, ids=str)
def test_predictions_match_this_machine(
    case: Case,
    cnn_bundle: Path,
    board_predictions: Callable[[Case], Predictions],
    compare_predictions: ComparePredictions,
) -> None:
    pairs = compare_predictions(case)
    scale = logits_scale(cnn_bundle)
    assert [pair.runtime for pair in pairs] == ["litert"] * 4 + ["onnxruntime"] * 3
    for pair in pairs:
        if pair.artifact == "model.int8.onnx":  # its softmax is computed in float32 from the last integers
            reference = int8_reference(cnn_bundle, board_predictions(case).indices)
            equal = (quantized_logits(reference, scale) == quantized_logits(pair.board, scale)).all(axis=1)
            assert equal.mean() >= 0.99
            assert (reference.argmax(axis=1) == pair.board.argmax(axis=1)).all()
            continue
        assert pair.label_changes == 0, pair.artifact
        if pair.quantization != "int8":
            assert pair.differences.max() <= MAX_DIFFERENCE[pair.quantization], pair.artifact
        else:
            assert pair.differences.max() <= OUTPUT_SCALE, pair.artifact
            assert (pair.differences > 0).mean() <= 0.01, pair.artifact


@pytest.mark.parametrize("case", CASES, ids=str)
def test_board_is_identified(case: Case, board_predictions: Callable[[Case], Predictions]) -> None:
    machine, spec = board_predictions(case).record.machine, SPECS[case.board]
    assert (machine.cpu, machine.cores, machine.architecture) == (spec.model, 4, "aarch64")
    assert ("asimddp" in machine.features) == (case.board == "pi5")
    assert machine.maximum_mhz == spec.max_khz / 1000
    assert machine.emulated
    assert not machine.virtual


@pytest.mark.parametrize(("name", "code"), [("pi3", -signal.SIGILL), ("pi4", -signal.SIGILL), ("pi5", 0)])
def test_missing_instruction_faults(board: BoardFactory, name: str, code: int) -> None:
    assert board(name, "bookworm").run("python3", "-c", DOT_PRODUCT).returncode == code


@pytest.fixture(scope="session")
def shapes_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of docs/your-model.md, by its commands, with fewer pictures and epochs."""
    folder = tmp_path_factory.mktemp("shapes")
    example, pictures, model = str(ROOT / "docs" / "examples" / "shapes.py"), folder / "shapes", folder / "shapes.keras"
    for command in (
        ("pictures", pictures, "--train", 300, "--test", 100),
        ("train", pictures, model, "--epochs", 8),
    ):
        subprocess.run([sys.executable, example, *map(str, command)], check=True)
    assert main.run(["export", str(model), "--data", str(pictures), "--out", str(folder / "bundle")]) == 0
    return folder / "bundle"


def test_own_model_passes_on_a_board(board: BoardFactory, shapes_bundle: Path) -> None:
    assert open_bundle(shapes_bundle).manifest.provenance.preprocessing.kind == "unit"
    result = board("pi4", "bookworm").run("mnistkit", "verify", shapes_bundle, "--margin", "5")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("PASS") == 7


@pytest.mark.parametrize("name", ["pi3", "pi4", "pi5"])
def test_prebuilt_library_predicts_what_int8_tflite_does_here(
    board: BoardFactory, bundle: Path, mnistkit: Cli, tmp_path: Path, name: Target
) -> None:
    library = cross_compilation.compile_for(name, bundle / "model.int8.c")
    add_library(bundle, name, (bundle / library.file).read_bytes())
    options = "--limit", 100, "--margin", 5, "--save-predictions"
    chosen, environment = board(name, "bookworm"), without_compilers(board(name, "bookworm"), tmp_path)
    arguments = "verify", bundle, "--runtime", "c", "--trust-code", *options, tmp_path / "board.npz"
    result = chosen.run("mnistkit", *arguments, environment=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert mnistkit("verify", bundle, "--runtime", "litert", *options, tmp_path / "here.npz").code == 0
    (on_board,), here = (predictions.load(tmp_path / f"{file}.npz").probabilities for file in ("board", "here"))
    np.testing.assert_allclose(on_board, here[-1], atol=1e-6)


def test_bench_rejects_an_emulated_processor(board: BoardFactory, cnn_bundle: Path) -> None:
    result = board("pi5", "bookworm").run("mnistkit", "bench", cnn_bundle)
    assert result.returncode == 2
    assert "this processor is emulated, so its latencies are meaningless" in result.stderr
    assert "measure on the device" in result.stderr


@pytest.mark.parametrize("artifact", ["model.float32.tflite", "model.int8.onnx"])
def test_predict_output_matches_this_machine(
    board: BoardFactory, cnn_bundle: Path, mnistkit: Cli, artifact: str
) -> None:
    arguments = "predict", cnn_bundle, "--artifact", artifact, "--index", 3
    on_board = board("pi4", "bookworm").run("mnistkit", *arguments)
    on_machine = mnistkit(*arguments)
    assert (on_board.returncode, on_board.stdout) == (on_machine.code, on_machine.out) == (0, on_machine.out)


def test_recommend_output_matches_this_machine(board: BoardFactory, mnistkit: Cli) -> None:
    arguments = "recommend", RECORDS / "verify.json", RECORDS / "bench.json"
    on_board = board("pi4", "bookworm").run("mnistkit", *arguments)
    on_machine = mnistkit(*arguments)
    assert (on_board.returncode, on_board.stdout) == (on_machine.code, on_machine.out) == (0, on_machine.out)


def test_device_extra_is_small(board: BoardFactory) -> None:
    wheels = board("pi4", "bookworm").folder.parent / userland.WHEELS
    paths = [path for path in wheels.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    sizes = {path: path.stat().st_size for path in paths}
    assert sum(sizes.values()) < MAX_DEVICE_MEGABYTES * 10**6
    for runtime in ("onnxruntime", "ai_edge_litert"):
        without = sum(size for path, size in sizes.items() if runtime not in path.relative_to(wheels).parts)
        assert without < MAX_ONE_RUNTIME_MEGABYTES * 10**6
    assert not (wheels / "tensorflow").exists()


@pytest.mark.parametrize("name", ["pi4", "pi5"])
def test_doctor_reports_the_board_and_its_problems(board: BoardFactory, tmp_path: Path, name: str) -> None:
    environment = without_compilers(board(name, "bookworm"), tmp_path)
    result = board(name, "bookworm").run("mnistkit", "doctor", "--json", "-", environment=environment)
    report = records.parse(result.stdout.encode(), DoctorReport, name, "")
    assert report.machine.cpu == SPECS[name].model
    assert {status.runtime: status.loads for status in report.runtimes} == {
        "litert": True,
        "onnxruntime": True,
        "tflite-runtime": False,
        "tensorflow": False,
        "c": False,
    }
    assert all(
        status.wheel for status in report.runtimes if status.runtime != "c"
    )  # each has a wheel for this Python and processor
    messages = [finding.message.partition(":")[0] for finding in report.findings if "load" not in finding.message]
    assert messages == [
        "this processor is emulated",
        "the CPU governor is ondemand",
        "no C compiler is installed",
    ]
    assert result.returncode == 0


def test_doctor_reports_throttling(board: BoardFactory) -> None:
    result = board("pi4", "bookworm").run("mnistkit", "doctor", environment={"PI_THROTTLED": "0x50005"})
    assert result.returncode == 1
    assert "problem: the board is throttled: under-voltage\n    use the board's own power supply" in result.stdout
    assert "problem: the board is throttled: throttled\n    cool the board" in result.stdout
