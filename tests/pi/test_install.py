"""Installation on a board with the board's own pip: `make test-pi-full`."""

from pathlib import Path

import pytest
from pi.cases import BoardFactory
from support import Cli

from emulated_pi import userland
from emulated_pi.board import Board

pytestmark = pytest.mark.full


def install(board: Board, folder: Path, extra: str, *options: object) -> Path:
    """Create a virtual environment on the board, install mnistkit with an extra, and return the folder of programs."""
    programs = folder / "env" / "bin"
    # pip is run from the wheel of the system: ensurepip copies that wheel first, with file attributes that QEMU 7.2
    # reads from this machine instead of the board.
    (pip,) = (board.interpreter.parent.parent / "share" / "python-wheels").glob("pip-*.whl")
    # Wheels only: a board may lack a compiler.
    pip_install = programs / "python3", pip / "pip", "install", "-q", "--only-binary=:all:"
    succeed(board, "python3", "-m", "venv", "--without-pip", folder / "env")
    if board.release.system_packages:
        link_numpy(board, folder)
    with userland.build_wheel() as wheel:
        succeed(board, *pip_install, *options, f"mnistkit[{extra}] @ {wheel.as_uri()}")
    return programs


def link_numpy(board: Board, folder: Path) -> None:
    """Make Debian's numpy visible. --system-site-packages would also show the mnistkit that the board already has."""
    (packages,) = folder.glob("env/lib/*/site-packages")
    for path in (board.folder.parent / userland.WHEELS).glob("numpy*"):
        (packages / path.name).symlink_to(path)


def succeed(board: Board, *command: object) -> None:
    """Run a command on the board and require that it succeeds."""
    result = board.run(*command)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_pip_installs_the_device_extra(board: BoardFactory, release: str, cnn_bundle: Path, tmp_path: Path) -> None:
    pi = board("pi5", release)
    programs = install(pi, tmp_path, "device")
    packages = {path.name.partition("-")[0] for path in tmp_path.glob("env/lib/*/site-packages/*.dist-info")}
    assert packages >= {"mnistkit", "ai_edge_litert", "onnxruntime"}
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib"}
    succeed(pi, programs / "mnistkit", "verify", cnn_bundle, "--limit", 100, "--allow-inconclusive")


def test_pip_installs_tflite_runtime_on_32_bits(
    board: BoardFactory, cnn_bundle: Path, mnistkit: Cli, tmp_path: Path
) -> None:
    pi, wheelhouse = board("pi4", "bookworm-armhf"), tmp_path / "wheelhouse"
    assert mnistkit("wheelhouse", "--target", "pi-32bit", "--out", wheelhouse).code == 0
    # pip reads the ELF header of sys.executable to decide whether a 32-bit system accepts manylinux wheels. On an
    # emulated board, sys.executable is the script that starts QEMU.
    for wheel in wheelhouse.glob("*_armv7l.whl"):
        wheel.rename(wheel.with_name(f"{wheel.name.rpartition('-')[0]}-linux_armv7l.whl"))
    programs = install(pi, tmp_path, "tflite-runtime", "--no-index", "--find-links", wheelhouse)
    succeed(pi, programs / "mnistkit", "verify", cnn_bundle, "--limit", 100, "--allow-inconclusive")
