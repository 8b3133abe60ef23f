"""Corrupted images, and parity on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import FAST, Cli

from mnistkit.data import corruptions
from mnistkit.data.dataset import Dataset

SHAPES = st.sampled_from([(28, 28, 1), (32, 32, 3), (12, 20, 3)])


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
@settings(deadline=None, max_examples=5)
@given(shape=SHAPES, data=st.data())
def test_corrupted_images_have_the_same_shape_and_follow_from_the_seed(
    name: str, shape: tuple[int, ...], data: st.DataObject
) -> None:
    images = data.draw(hnp.arrays(np.uint8, (3, *shape)))
    first, again = (corruptions.corrupt(images, name, seed=4) for _ in range(2))
    assert first.shape == images.shape
    assert first[:].dtype == np.uint8
    np.testing.assert_array_equal(first[:], again[:])


def test_every_corruption_changes_digits_and_keeps_them_apart(digits: Dataset) -> None:
    images = digits.x_test[:600]
    for name in corruptions.CORRUPTIONS:
        corrupted = corruptions.corrupt(images, name)[:].astype(float)
        assert abs(corrupted - images).mean() > 2, name
        assert np.ptp(corrupted, axis=(1, 2, 3)).min() > 0, name


def test_chunks_do_not_depend_on_the_images_after_them(digits: Dataset) -> None:
    few, many = (corruptions.corrupt(digits.x_test[:count], "impulse noise") for count in (500, 700))
    np.testing.assert_array_equal(few[:], many[:500])
    assert (many[0] != many[500]).any()


def ramp(channels: int = 1) -> np.ndarray:
    """One image whose pixels differ."""
    return np.arange(28 * 28 * channels, dtype=np.int64).reshape(1, 28, 28, channels).astype(np.uint8)


def test_translation_moves_by_three_pixels_in_both_directions() -> None:
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 14, 14] = 200
    moved = {tuple(np.argwhere(corruptions.corrupt(image, "translation", seed)[0])[0][:2]) for seed in range(30)}
    assert moved == {(11, 11), (11, 17), (17, 11), (17, 17)}


def test_stripes_contrast_and_brightness_follow_their_definitions() -> None:
    image = ramp(3)
    stripe = corruptions.corrupt(image, "stripe")[0]
    np.testing.assert_array_equal(stripe[:, 7:21], image[0, :, 7:21])
    np.testing.assert_array_equal(stripe[:, :7], 255 - image[0, :, :7])
    mean = image[0].mean(axis=(0, 1))
    np.testing.assert_allclose(corruptions.corrupt(image, "contrast")[0], mean + 0.1 * (image[0] - mean), atol=0.6)
    gray = ramp()
    np.testing.assert_allclose(corruptions.corrupt(gray, "brightness")[0], np.minimum(gray[0] + 127.5, 255), atol=0.6)


def test_rotation_and_shear_keep_the_center_and_go_both_ways() -> None:
    image = np.zeros((1, 29, 29, 1), np.uint8)
    image[0, 4:25, 13:16] = 255
    for name in ("rotation", "shear"):
        variants = {corruptions.corrupt(image, name, seed)[:].tobytes() for seed in range(20)}
        assert len(variants) == 2
        for variant in variants:
            pixels = np.frombuffer(variant, np.uint8).reshape(29, 29)
            assert pixels[14, 14] == 255
            assert pixels[5, 14] < 255


def test_shot_noise_has_the_mean_and_variance_of_three_photons() -> None:
    image = np.full((40, 28, 28, 1), 85, np.uint8)  # a third
    noisy = corruptions.corrupt(image, "shot noise")[:] / 255
    assert noisy.mean() == pytest.approx(1 / 3, abs=0.01)  # a Poisson variable with mean 1, clipped at 3, over 3
    assert set(np.unique(noisy * 3).round(3)) <= {0, 1, 2, 3}


def test_verify_compares_with_float32_on_corrupted_images(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    arguments = "verify", workspace / "bundle", *FAST, "--limit", 200, "--margin", 5, "--corruptions"
    result = mnistkit(*arguments, "--json", tmp_path / "verify.json")
    assert result.code == 0
    assert "Accuracy on corrupted images, compared with float32" in result.out
    rows = json.loads((tmp_path / "verify.json").read_text())["corruptions"]
    assert {row["corruption"] for row in rows} == set(corruptions.CORRUPTIONS)
    assert len(rows) == 5 * len(corruptions.CORRUPTIONS)  # all artifacts but the float32 ones
    for row in rows:
        assert row["difference"] == pytest.approx(100 * (row["accuracy"] - row["reference_accuracy"]))
        assert row["interval"]["low"] <= row["difference"] <= row["interval"]["high"]
    assert min(row["reference_accuracy"] for row in rows) < 0.9  # of some corruption


def test_bundle_without_a_float32_artifact_is_refused_before_it_runs(
    mnistkit: Cli, workspace: Path, few_digits: Path, tmp_path: Path
) -> None:
    paths = "--data", few_digits, "--out", tmp_path / "b"
    one_artifact = "--format", "tflite", "--quantize", "dynamic"
    assert mnistkit("export", workspace / "model.keras", *paths, *one_artifact).code == 0
    result = mnistkit("verify", tmp_path / "b", *FAST[:2], "--corruptions")
    assert result.code == 2
    assert "has no float32 artifact beside a quantized one" in result.err
    assert result.err.count("\n") == 1
