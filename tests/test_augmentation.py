"""Augmentation: exact without a transform, within its limits, reproducible, and each image once per epoch."""

from typing import Any

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.training import augmentation
from mnistkit.training.recipes import Augmentation

NO_AUGMENTATION = Augmentation(rotation=0, shift=0, zoom=0, shear=0)
AUGMENTATION = Augmentation(rotation=10, shift=2, zoom=0.1, shear=0.1)


def augment(images: Any, limits: Augmentation, seed: tuple[int, int] = (1, 2)) -> Any:
    return augmentation.augment(images.astype(np.float32), limits, seed).numpy()


def test_limits_of_zero_leave_every_pixel_unchanged(digits: Dataset) -> None:
    images = digits.x_train[:100]
    np.testing.assert_array_equal(augment(images, NO_AUGMENTATION), images)


def test_only_the_same_seed_reproduces_the_images(digits: Dataset) -> None:
    images = digits.x_train[:100]
    np.testing.assert_array_equal(augment(images, AUGMENTATION), augment(images, AUGMENTATION))
    assert (augment(images, AUGMENTATION) != augment(images, AUGMENTATION, (1, 3))).any()


def test_each_image_is_transformed_differently(digits: Dataset) -> None:
    augmented = augment(np.stack([digits.x_train[0]] * 20), AUGMENTATION)
    assert len(np.unique(augmented, axis=0)) == 20


@pytest.mark.parametrize("axis", [1, 2])
def test_shift_stays_within_its_limit(axis: int) -> None:
    image = np.zeros((200, 29, 29, 1))
    image[:, 14, 14] = 255
    augmented = augment(image, Augmentation(rotation=0, shift=3, zoom=0, shear=0))[..., 0]
    centroids = (augmented.sum(axis=3 - axis) * np.arange(29)).sum(axis=1) / 255
    assert np.abs(centroids - 14).max() <= 3
    assert np.abs(centroids - 14).max() > 2


def test_rotation_reaches_its_limit_and_stays_within_it() -> None:
    image = np.zeros((400, 29, 29, 1))
    image[:, 14, 26] = 255  # 12 pixels right of the center
    augmented = augment(image, Augmentation(rotation=30, shift=0, zoom=0, shear=0))[..., 0]
    centroids = (augmented.sum(axis=2) * np.arange(29)).sum(axis=1) / augmented.sum(axis=(1, 2))
    angles = np.degrees(np.arcsin(np.clip((centroids - 14) / 12, -1, 1)))
    assert 25 < np.abs(angles).max() < 32


def test_each_epoch_has_every_image_once_in_a_new_order() -> None:
    images = np.arange(1, 101, dtype=np.uint8).reshape(100, 1, 1, 1).repeat(3, 1).repeat(3, 2)
    labels = np.arange(1, 101)
    batches = augmentation.augmented_batches(images, labels, 30, NO_AUGMENTATION, seed=5)
    orders = []
    for _ in range(2):
        epoch = list(batches.as_numpy_iterator())
        assert [len(batch_labels) for _, batch_labels in epoch] == [30, 30, 30, 10]
        pairs = [(int(image[1, 1, 0]), int(label)) for batch in epoch for image, label in zip(*batch, strict=True)]
        assert all(pixel == label for pixel, label in pairs)
        orders.append([label for _, label in pairs])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1, 101))
    assert orders[0] != orders[1]


def test_epochs_differ_and_runs_with_the_same_seed_do_not(digits: Dataset) -> None:
    def two_epochs() -> list[Any]:
        batches = augmentation.augmented_batches(digits.x_train[:1], digits.y_train[:1], 1, AUGMENTATION, seed=5)
        return [next(batches.as_numpy_iterator())[0] for _ in range(2)]

    first, second = two_epochs()
    assert (first != second).any()
    np.testing.assert_array_equal(two_epochs(), [first, second])
