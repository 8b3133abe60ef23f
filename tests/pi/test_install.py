"""What a user installs on a board, by the board's own pip: `make test-pi-full`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pi.cases import Answered, Case

from emulated_pi import userland
from emulated_pi.board import Board

pytestmark = pytest.mark.full
OLD = Case("pi4", "bookworm-armhf")
STEP = 1 / 256


def environment(board: Board, folder: Path, extra: str, *options: str) -> Path:
    """A virtual environment made and filled on the board; its programs."""
    programs = folder / "env" / "bin"
    # The system's own pip, from where the system has it: ensurepip copies it first, with attributes that QEMU 7.2 asks
    # this machine for instead of the board.
    (pip,) = (board.interpreter.parent.parent / "share" / "python-wheels").glob("pip-*.whl")
    install = programs / "python3", pip / "pip", "install", "-q", "--only-binary=:all:"  # there may be no compiler
    with userland.wheel() as wheel:
        for command in (
            ("python3", "-m", "venv", "--without-pip", *options, folder / "env"),
            (*install, f"mnistkit[{extra}] @ {wheel.as_uri()}"),
        ):
            done = board.run(*command)
            assert done.returncode == 0, done.stdout + done.stderr
    return programs


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_pip_installs_the_device_extra_there(
    board: Callable[[str, str], Board], release: str, cnn: Path, tmp_path: Path
) -> None:
    pi = board("pi5", release)
    programs = environment(pi, tmp_path, "device")
    packages = {path.name.partition("-")[0] for path in tmp_path.glob("env/lib/*/site-packages/*.dist-info")}
    assert packages >= {"mnistkit", "ai_edge_litert", "onnxruntime"}
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib"}
    done = pi.run(programs / "mnistkit", "verify", cnn, "--limit", 100, "--allow-inconclusive")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pip_installs_tflite_runtime_on_32_bits(board: Callable[[str, str], Board], cnn: Path, tmp_path: Path) -> None:
    pi = board(OLD.board, OLD.release)
    programs = environment(pi, tmp_path, "tflite-runtime", "--system-site-packages")  # numpy is Debian's
    done = pi.run(programs / "mnistkit", "verify", cnn, "--limit", 100, "--allow-inconclusive")
    assert done.returncode == 0, done.stdout + done.stderr


def test_32_bits_answer_as_this_machine_does(answered: Callable[[Case], list[Answered]]) -> None:
    rows = {row.artifact: row for row in answered(OLD)}
    assert {row.runtime for row in rows.values()} == {"tflite-runtime"}
    for name in ("model.float32.tflite", "model.float16.tflite"):
        assert rows[name].relabelled == 0
        assert rows[name].differences.max() <= 1e-5
    int8 = rows["model.int8.tflite"]
    assert int8.relabelled <= 1
    assert int8.differences.max() <= STEP
    assert (int8.differences > 0).mean() <= 0.01
    assert rows["model.dynamic.tflite"].relabelled <= 1
