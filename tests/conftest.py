"""What the tests share: the real MNIST, and one short real training exported as a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from support import Cli, Result

from mnistkit.cli import main
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset


@pytest.fixture
def mnistkit(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Runs a command line in this process, which remembers nothing of earlier ones."""
    monkeypatch.delenv("MNISTKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: object) -> Result:
        code = main.run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The real MNIST."""
    return mnist.load()


@pytest.fixture(scope="session")
def few_digits(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An npz with the first 2,000 training and 500 test images of the real MNIST."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(
        path,
        x_train=digits.x_train[:2000, ..., 0],
        y_train=digits.y_train[:2000].astype(np.uint8),
        x_test=digits.x_test[:500, ..., 0],
        y_test=digits.y_test[:500].astype(np.uint8),
    )
    return path


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The CNN after one epoch on all 60,000 images, exported. Shared: copy it before changing anything."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "workspace"  # one for all workers
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "bundle").exists():
            assert main.run(["train", "--epochs", "1", "--seed", "7", "--out", str(folder)]) == 0
            assert main.run(["export", str(folder / "model.keras")]) == 0
    return folder


@pytest.fixture
def bundle(workspace: Path, tmp_path: Path) -> Path:
    """A copy of the workspace's bundle, to be spoiled."""
    return Path(shutil.copytree(workspace / "bundle", tmp_path / "bundle"))
