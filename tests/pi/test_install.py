"""What a user installs on a board, by the board's own pip: `make test-pi-full`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import Cli

from emulated_pi import userland
from emulated_pi.board import Board

pytestmark = pytest.mark.full


def environment(board: Board, folder: Path, extra: str, *options: object) -> Path:
    """A virtual environment made and filled on the board; its programs."""
    programs = folder / "env" / "bin"
    # The system's own pip, from where the system has it: ensurepip copies it first, with attributes that QEMU 7.2 asks
    # this machine for instead of the board.
    (pip,) = (board.interpreter.parent.parent / "share" / "python-wheels").glob("pip-*.whl")
    install = programs / "python3", pip / "pip", "install", "-q", "--only-binary=:all:"  # there may be no compiler
    succeed(board, "python3", "-m", "venv", "--without-pip", folder / "env")
    if board.release.system_packages:
        give_numpy(board, folder)
    with userland.wheel() as wheel:
        succeed(board, *install, *options, f"mnistkit[{extra}] @ {wheel.as_uri()}")
    return programs


def give_numpy(board: Board, folder: Path) -> None:
    """Debian's, as --system-site-packages would; but that would show mnistkit too, which this board already has."""
    (packages,) = folder.glob("env/lib/*/site-packages")
    for path in (board.folder.parent / userland.WHEELS).glob("numpy*"):
        (packages / path.name).symlink_to(path)


def succeed(board: Board, *command: object) -> None:
    """Run it there."""
    done = board.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_pip_installs_the_device_extra_there(
    board: Callable[[str, str], Board], release: str, cnn: Path, tmp_path: Path
) -> None:
    pi = board("pi5", release)
    programs = environment(pi, tmp_path, "device")
    packages = {path.name.partition("-")[0] for path in tmp_path.glob("env/lib/*/site-packages/*.dist-info")}
    assert packages >= {"mnistkit", "ai_edge_litert", "onnxruntime"}
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib"}
    succeed(pi, programs / "mnistkit", "verify", cnn, "--limit", 100, "--allow-inconclusive")


def test_pip_installs_tflite_runtime_on_32_bits(
    board: Callable[[str, str], Board], cnn: Path, mnistkit: Cli, tmp_path: Path
) -> None:
    pi, wheelhouse = board("pi4", "bookworm-armhf"), tmp_path / "wheelhouse"
    assert mnistkit("wheelhouse", "--target", "pi-32bit", "--out", wheelhouse).code == 0
    # Whether manylinux fits 32 bits pip reads out of the interpreter's ELF header, and finds a script that starts QEMU.
    for wheel in wheelhouse.glob("*_armv7l.whl"):
        wheel.rename(wheel.with_name(f"{wheel.name.rpartition('-')[0]}-linux_armv7l.whl"))
    programs = environment(pi, tmp_path, "tflite-runtime", "--no-index", "--find-links", wheelhouse)
    succeed(pi, programs / "mnistkit", "verify", cnn, "--limit", 100, "--allow-inconclusive")
