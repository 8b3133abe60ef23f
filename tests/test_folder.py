"""Folders of pictures as data sets: layout, sizes, colors, and pictures that can't be read."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support import FAST, Cli

import mnistkit as api
from mnistkit.bundle import open_bundle
from mnistkit.core import images as raw_images
from mnistkit.core.errors import BundleError, DataError, MissingExtraError, ModelError, SessionError
from mnistkit.core.images import TemporaryImages
from mnistkit.data import dataset
from mnistkit.data.dataset import Dataset
from mnistkit.data.folder import FolderOptions
from mnistkit.training import keras_models

COLORS = {"blue": (0, 0, 8), "green": (0, 8, 0), "red": (8, 0, 0)}  # added to noise


def save_pictures(folder: Path, name: str, count: int, size: tuple[int, int] = (20, 16), suffix: str = "png") -> None:
    """Save pictures of one color with noise, to FOLDER/NAME/N.png; `size` is width and height."""
    rng = np.random.default_rng(len(name))
    (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 200, (size[1], size[0], 3)) + np.array(COLORS[name])
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:03}.{suffix}")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in three classes, 20×16, 300 for training and 20 for testing each."""
    root = tmp_path_factory.mktemp("pictures")
    for name in COLORS:
        save_pictures(root / "train", name, 300)
        save_pictures(root / "test", name, 20)
    return root


@pytest.fixture(scope="session")
def color_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for the pictures, as if trained on pixels / 255, with the classes in the order red, green, blue."""
    keras = keras_models.import_keras()
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((16, 20, 3)), keras.layers.GlobalAveragePooling2D(), dense])
    # The best linear classifier: the difference of the means divided by the variance of the mean of 320 pixels.
    dense.set_weights([8 / 255 / ((58 / 255) ** 2 / 320) * np.eye(3), np.zeros(3)])
    path = tmp_path_factory.mktemp("color") / "model.keras"
    model.save(path)
    return path


def test_folder_names_are_the_classes_in_alphabetical_order(pictures: Path) -> None:
    data = dataset.load(pictures)
    assert (data.class_names, data.classes, data.image_shape) == (("blue", "green", "red"), 3, (16, 20, 3))
    assert (len(data.x_train), len(data.x_test)) == (900, 60)
    np.testing.assert_array_equal(data.y_test, np.repeat([0, 1, 2], 20))
    with Image.open(pictures / "test" / "green" / "003.png") as picture:
        np.testing.assert_array_equal(data.x_test[23], np.asarray(picture))


def test_labels_give_the_order_of_the_classes(pictures: Path) -> None:
    data = dataset.load(pictures, FolderOptions(class_names=("red", "blue", "green", "yellow")))
    assert data.classes == 4
    np.testing.assert_array_equal(np.unique(data.y_train), [0, 1, 2])
    assert data.x_test[:][data.y_test == 0].mean(axis=(0, 1, 2)).argmax() == 0
    with pytest.raises(DataError, match="has the folder red, which is none of the classes blue, green"):
        dataset.load(pictures, FolderOptions(class_names=("blue", "green")))


def test_one_folder_of_classes_is_split_by_the_seed(pictures: Path) -> None:
    first, repeated, other = (dataset.load(pictures / "train", FolderOptions(split_seed=seed)) for seed in (0, 0, 1))
    assert (len(first.x_train), len(first.x_test)) == (750, 150)
    assert np.bincount(first.y_test).tolist() == [50, 50, 50]
    assert first.digest == repeated.digest != other.digest
    train, test = ({image.tobytes() for image in images[:]} for images in (first.x_train, first.x_test))
    assert len(train | test) == 900


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("stretch", [[100, 100, 200, 200]] * 2),
        ("crop", [[100, 200], [100, 200]]),
        ("pad", [[0, 0, 0, 0], [100, 100, 200, 200], [100, 100, 200, 200], [0, 0, 0, 0]]),
    ],
)
def test_pictures_are_resized_as_requested(tmp_path: Path, resize: str, expected: list[list[int]]) -> None:
    picture = np.repeat(np.repeat(np.array([[100, 200]], np.uint8), 20, axis=0), 20, axis=1)  # 40 wide, 20 high
    for name in ("a", "b"):
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "test" / name / "1.png")
    height, width = len(expected), len(expected[0])
    with pytest.raises(DataError, match=rf"has 40×20 pixels, not {width}×{height}; pass --resize"):
        dataset.load(tmp_path, FolderOptions((height, width, 1)))
    data = dataset.load(tmp_path, FolderOptions((height, width, 1), resize))  # type: ignore[arg-type]
    difference = data.x_test[0][..., 0].astype(int) - expected
    assert abs(difference).max() <= 25  # bilinear filtering mixes the pixels at the edge


def test_gray_pictures_have_one_channel_and_color_is_converted_to_what_the_model_takes(
    pictures: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4), 7, np.uint8)).save(tmp_path / "test" / name / "1.png")
    assert dataset.load(tmp_path).image_shape == (4, 4, 1)
    assert dataset.load(tmp_path, FolderOptions((4, 4, 3))).x_test[0].tolist() == [[[7] * 3] * 4] * 4
    gray = dataset.load(pictures, FolderOptions((16, 20, 1))).x_test
    with Image.open(pictures / "test" / "blue" / "000.png") as picture:
        np.testing.assert_array_equal(gray[0][..., 0], np.asarray(picture.convert("L")))


def write_text(path: Path) -> None:
    path.write_text("not a picture")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def save_16_bit(path: Path) -> None:
    Image.fromarray(np.zeros((16, 20), np.uint16)).save(path)


def claim_many_pixels(path: Path) -> None:
    Image.new("1", (10_100, 10_000)).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (write_text, "cannot read the picture .*001.png"),
        (truncate, "cannot read the picture .*001.png"),
        (save_16_bit, "001.png has more than 8 bits"),
        (claim_many_pixels, "001.png has 10100×10000 pixels"),
    ],
)
def test_invalid_picture_is_named_in_one_line(
    mnistkit: Cli, pictures: Path, color_model: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    copy = Path(shutil.copytree(pictures, tmp_path / "copy"))
    damage(copy / "test" / "green" / "001.png")
    result = mnistkit("export", color_model, "--data", copy, "--out", tmp_path / "bundle")
    assert result.code == 2
    assert re.search(message, result.err.splitlines()[-1])
    assert not (tmp_path / "bundle").exists()


def test_files_that_are_no_pictures_are_ignored_and_empty_folders_are_reported(pictures: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pictures, tmp_path / "copy"))
    (copy / "test" / "green" / "Thumbs.db").touch()
    (copy / ".hidden").mkdir()
    assert dataset.load(copy).digest == dataset.load(pictures).digest
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no test images; put them into .*empty/test/CLASS"):
        dataset.load(tmp_path / "empty")


def test_missing_pillow_is_reported_with_the_pip_command(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnistkit\[images\]'"):
        dataset.load(pictures)


# --- from pictures to predictions -------------------------------------------------------------------------------


def test_model_is_exported_with_pictures_and_classifies_from_python(
    mnistkit: Cli, pictures: Path, color_model: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    arguments = "export", color_model, "--data", pictures, "--labels", "red,green,blue", "--preprocessing", "unit"
    result = mnistkit(*arguments, "--out", bundle)
    assert result.code == 0, result.err
    assert mnistkit("verify", bundle, *FAST, "--margin", 20).code == 0
    provenance = open_bundle(bundle).manifest.provenance
    assert (provenance.labels, provenance.preprocessing.kind) == (("red", "green", "blue"), "unit")
    for artifact in ("model.int8.tflite", "model.dynamic.tflite", "model.float32.onnx"):
        classifier = api.load(bundle, artifact)
        assert (classifier.labels, classifier.image_shape) == (provenance.labels, (16, 20, 3))
        images: NDArray[np.uint8] = dataset.load(pictures).x_test[:]
        probabilities = classifier.predict(images)
        assert probabilities.shape == (60, 3)
        names = np.array(classifier.labels)[probabilities.argmax(axis=1)]
        assert (names == np.repeat(["blue", "green", "red"], 20)).mean() > 0.8
        np.testing.assert_allclose(classifier.predict(images[:1]), probabilities[:1], atol=1e-3)


def test_test_images_alone_suffice_for_float_formats(
    mnistkit: Cli, pictures: Path, color_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures / "test", tmp_path / "data" / "test")
    paths = "--data", tmp_path / "data", "--out", tmp_path / "b"
    arguments = "export", color_model, *paths, "--labels", "red,green,blue"
    floats = "--quantize", "float32", "--quantize", "dynamic"
    result = mnistkit(*arguments, "--preprocessing", "unit")
    assert result.code == 2
    assert "int8 needs training images to calibrate on, and the data set has none; add training images" in result.err
    result = mnistkit(*arguments, *floats)
    assert result.code == 2
    assert "no training images; pass it with --preprocessing" in result.err
    assert mnistkit(*arguments, *floats, "--preprocessing", "unit").code == 0
    assert mnistkit("verify", tmp_path / "b", *FAST, "--margin", 20).code == 0


def test_training_needs_training_images(mnistkit: Cli, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures / "test", tmp_path / "data" / "test")
    result = mnistkit("train", "--recipe", "cnn", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert (result.code, "has no training images" in result.err) == (2, True)


def test_python_interface_rejects_what_it_can_not_use(workspace: Path, digits: Dataset, tmp_path: Path) -> None:
    bundle = workspace / "bundle"
    classifier = api.load(bundle)
    assert (classifier.artifact, classifier.runtime) == ("model.float32.tflite", "litert")
    images = digits.x_test[:40]
    expected = open_bundle(bundle).evaluation_set().reference[:40]
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(images[..., 0]), classifier.predict(images))
    for invalid in (images / np.float32(255), images[:, :20], images[0], images[:0]):
        with pytest.raises(DataError, match="pass raw pixel values 0 to 255"):
            classifier.predict(invalid)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"no artifact model\.int4\.tflite"):
        api.load(bundle, "model.int4.tflite")
    with pytest.raises(SessionError, match="no runtime torch"):
        api.load(bundle, runtime="torch")
    with pytest.raises(BundleError):
        api.load(tmp_path)


# --- images in files --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 19), max_size=30), st.integers(-25, 25), st.integers(-25, 25))
def test_images_in_a_file_are_indexed_like_an_array(indices: list[int], start: int, stop: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 3, 2, 1)).astype(np.uint8)
    stored = TemporaryImages((3, 2, 1))
    stored.append(array[:15])
    stored.append(array[15:])
    assert (len(stored), stored.shape) == (20, array.shape)
    np.testing.assert_array_equal(stored[start:stop], array[start:stop])
    np.testing.assert_array_equal(stored[np.array(indices, np.int64)], array[np.array(indices, np.int64)])
    np.testing.assert_array_equal(stored[-1], array[-1])


def test_bundle_stores_images_in_chunks(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_images, "CHUNK_BYTES", 200 * 784)
    arguments = "export", workspace / "model.keras", "--data", few_digits, "--out", tmp_path / "b"
    assert mnistkit(*arguments, "--format", "tflite", "--quantize", "float32").code == 0
    monkeypatch.undo()
    bundle = open_bundle(tmp_path / "b")
    assert [count for _, count in bundle.manifest.test_set.chunks()] == [200, 200, 100]
    np.testing.assert_array_equal(bundle.evaluation_set().images[:], dataset.load(few_digits).x_test[:])
