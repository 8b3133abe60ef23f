"""Fixtures that tests share: the real MNIST, a CNN with committed weights and its bundle, and one short training."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from support import TRAINING_SEED, Cli, Result

from mnistkit.cli import main
from mnistkit.data import mnist
from mnistkit.data.dataset import Dataset
from mnistkit.training import keras_models, recipes
from mnistkit.training.model import build_model

WEIGHTS = Path(__file__).parent / "weights" / "cnn.npz"


# The files that take the longest, first: a worker runs all tests of a file, and none should be left with a long one.
LONG_FILES = ("test_fleet.py", "test_quantize.py", "test_bench.py", "test_recipes.py", "test_cli.py", "test_verify.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take the longest."""
    items.sort(key=lambda item: LONG_FILES.index(item.path.name) if item.path.name in LONG_FILES else len(LONG_FILES))


@pytest.fixture
def mnistkit(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    generated_code: Path,
) -> Cli:
    """Run a command line in this process, without the state of earlier ones except which code was made here."""
    monkeypatch.delenv("MNISTKIT_DATA", raising=False)
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    (state / "mnistkit").mkdir()
    (state / "mnistkit" / "generated-code").symlink_to(generated_code)

    def run(*arguments: object) -> Result:
        code = main.run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide TensorFlow, which takes seconds to import, so that it is no runtime."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The real MNIST."""
    return mnist.load()


@pytest.fixture(scope="session")
def few_digits(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An npz file with the first 2,000 training and 500 test images of the real MNIST."""
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
def shared_root(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The temporary folder of all workers."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session", autouse=True)
def generated_code(shared_root: Path) -> Iterator[Path]:
    """The folder that names the code that the tests have made; also the state of commands in other fixtures."""
    folder = shared_root / "state" / "mnistkit" / "generated-code"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(shared_root / "state"))
        yield folder


@pytest.fixture(scope="session")
def shared_folder(shared_root: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all workers: `shared_folder(name, make)`. Tests must not change it."""
    root = shared_root

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        path, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                path.mkdir()
                make(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def workspace(digits: Dataset, shared_folder: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The CNN with the committed weights (99.1% test accuracy) and its bundle: model.keras, bundle/."""

    def make(folder: Path) -> None:
        model = build_model(recipes.find("cnn"), digits.image_shape, digits.classes)
        with np.load(WEIGHTS) as arrays:
            indices = [name for name in arrays if name.isdecimal()]
            model.set_weights([arrays[name] * arrays.get(f"{name}_scale", np.float32(1)) for name in indices])
        keras_models.save(model, folder / "model.keras")
        assert main.run(["export", str(folder / "model.keras")]) == 0

    return shared_folder("workspace", make)


@pytest.fixture(scope="session")
def trained(few_digits: Path, shared_folder: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The output of one short training of the CNN on 2,000 images: model.keras, history.json, curves.png, run.json."""

    def make(folder: Path) -> None:
        options = "--epochs", "2", "--seed", str(TRAINING_SEED), "--data", str(few_digits)
        assert main.run(["train", *options, "--out", str(folder)]) == 0

    return shared_folder("trained", make)


@pytest.fixture
def bundle(workspace: Path, tmp_path: Path) -> Path:
    """A copy of the workspace's bundle, for tests that change it."""
    return Path(shutil.copytree(workspace / "bundle", tmp_path / "bundle"))
