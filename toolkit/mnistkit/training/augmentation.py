"""Random affine augmentation of training images, as a TensorFlow graph that runs in parallel with training."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.training.recipes import Augmentation

WORKERS = 2


def augmented_batches(
    images: NDArray[np.uint8], labels: NDArray[Any], batch_size: int, augmentation: Augmentation, seed: int
) -> Any:
    """A tf.data.Dataset of batches (images float32, labels), shuffled and augmented differently in each epoch.

    Each image occurs once per epoch. The same seed gives the same batches.
    """
    import tensorflow as tf

    images, labels = tf.constant(images), tf.constant(labels)
    order = tf.data.Dataset.range(len(images)).shuffle(len(images), seed).batch(batch_size)
    # A separate seed for each batch makes the result independent of the order in which workers finish.
    batch_seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)

    def make_batch(batch_seed: Any, indices: Any) -> tuple[Any, Any]:
        batch = tf.cast(tf.gather(images, indices), tf.float32)
        return augment(batch, augmentation, tf.stack([seed, batch_seed])), tf.gather(labels, indices)

    return tf.data.Dataset.zip(batch_seeds, order).map(make_batch, num_parallel_calls=WORKERS).prefetch(2 * WORKERS)


def augment(images: Any, augmentation: Augmentation, seed: Any) -> Any:
    """Rotate, shear, zoom and shift each image, float32 [N, height, width, channels], about its center.

    Pixels from outside the image are 0. `seed` is an integer tensor [2].
    """
    import tensorflow as tf

    shape = tf.shape(images)
    limits = [
        math.radians(augmentation.rotation),
        augmentation.shear,
        augmentation.zoom,
        augmentation.zoom,
        augmentation.shift,
        augmentation.shift,
    ]
    uniform = tf.random.stateless_uniform([len(limits), shape[0]], seed, -1.0, 1.0)
    angle, shear, zoom_x, zoom_y, shift_x, shift_y = tf.unstack(uniform * tf.constant(limits, tf.float32)[:, None])
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    # The matrix maps an output pixel (x, y) to the input pixel it is sampled from, both relative to the center.
    xx, xy = cos * tf.exp(zoom_x), (cos * shear - sin) * tf.exp(zoom_x)
    yx, yy = sin * tf.exp(zoom_y), (sin * shear + cos) * tf.exp(zoom_y)
    center_y, center_x = tf.unstack((tf.cast(shape[1:3], tf.float32) - 1) / 2)
    offset_x = center_x + shift_x - xx * center_x - xy * center_y
    offset_y = center_y + shift_y - yx * center_x - yy * center_y
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, offset_x, yx, yy, offset_y, zero, zero], axis=1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
