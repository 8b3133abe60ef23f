"""Moved images: exact where nothing moves, reproducible, and every image once an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnistkit.data.dataset import Dataset
from mnistkit.training import augmentation
from mnistkit.training.recipes import Augmentation

STILL = Augmentation(rotation=0, shift=0, zoom=0, shear=0)
AUGMENTATION = Augmentation(rotation=10, shift=2, zoom=0.1, shear=0.1)


def moved(images: Any, how: Augmentation, seed: tuple[int, int] = (1, 2)) -> Any:
    return augmentation.augment(images.astype(np.float32), how, seed).numpy()


def test_without_movement_every_pixel_stays(digits: Dataset) -> None:
    images = digits.x_train[:100]
    np.testing.assert_array_equal(moved(images, STILL), images)


def test_the_same_seed_moves_alike_and_another_does_not(digits: Dataset) -> None:
    images = digits.x_train[:100]
    np.testing.assert_array_equal(moved(images, AUGMENTATION), moved(images, AUGMENTATION))
    assert (moved(images, AUGMENTATION) != moved(images, AUGMENTATION, (1, 3))).any()


def test_each_image_moves_its_own_way(digits: Dataset) -> None:
    answers = moved(np.stack([digits.x_train[0]] * 20), AUGMENTATION)
    assert len(np.unique(answers, axis=0)) == 20


@pytest.mark.parametrize("axis", [1, 2])
def test_a_shift_stays_within_its_reach(axis: int) -> None:
    image = np.zeros((200, 29, 29, 1))
    image[:, 14, 14] = 255
    answers = moved(image, Augmentation(rotation=0, shift=3, zoom=0, shear=0))
    places = (answers[..., 0].sum(axis=3 - axis) * np.arange(29)).sum(axis=1) / 255
    assert np.abs(places - 14).max() <= 3
    assert np.abs(places - 14).max() > 2


def test_a_rotation_turns_by_its_reach_and_no_more() -> None:
    image = np.zeros((400, 29, 29, 1))
    image[:, 14, 26] = 255  # 12 pixels right of the middle
    answers = moved(image, Augmentation(rotation=30, shift=0, zoom=0, shear=0))[..., 0]
    mass = answers.sum(axis=(1, 2))
    down = (answers.sum(axis=2) * np.arange(29)).sum(axis=1) / mass - 14
    angles = np.degrees(np.arcsin(np.clip(down / 12, -1, 1)))
    assert 25 < np.abs(angles).max() < 32


def test_every_image_comes_once_an_epoch_in_a_new_order() -> None:
    images = np.arange(1, 101, dtype=np.uint8).reshape(100, 1, 1, 1).repeat(3, 1).repeat(3, 2)
    labels = np.arange(1, 101)
    batches = augmentation.augmented_batches(images, labels, 30, STILL, seed=5)
    orders = []
    for _ in range(2):
        epoch = list(batches.as_numpy_iterator())
        assert [len(answers) for _, answers in epoch] == [30, 30, 30, 10]
        seen = [(int(image[1, 1, 0]), int(label)) for batch in epoch for image, label in zip(*batch, strict=True)]
        assert all(pixel == label for pixel, label in seen)
        orders.append([label for _, label in seen])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1, 101))
    assert orders[0] != orders[1]


def test_an_image_moves_otherwise_in_the_next_epoch_and_alike_in_the_next_run(digits: Dataset) -> None:
    def epochs() -> list[Any]:
        batches = augmentation.augmented_batches(digits.x_train[:1], digits.y_train[:1], 1, AUGMENTATION, seed=5)
        return [next(batches.as_numpy_iterator())[0] for _ in range(2)]

    first, second = epochs()
    assert (first != second).any()
    np.testing.assert_array_equal(epochs(), [first, second])
