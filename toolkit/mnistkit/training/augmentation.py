"""Training images moved a little, at random, anew in every epoch: as TensorFlow's own graph, beside the training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mnistkit.training.recipes import Augmentation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORKERS = 2


def augmented_batches(
    images: NDArray[np.uint8], answers: NDArray[Any], batch_size: int, augmentation: Augmentation, seed: int
) -> Any:
    """A tf.data.Dataset of (images float32, answers): each image once, shuffled and moved, anew each time it is read.

    The same seed gives the same batches.
    """
    import tensorflow as tf

    images, answers = tf.constant(images), tf.constant(answers)
    order = tf.data.Dataset.range(len(images)).shuffle(len(images), seed).batch(batch_size)
    # A seed for each batch, so that workers may overtake each other.
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)

    def prepare(drawn: Any, indices: Any) -> tuple[Any, Any]:
        chosen = tf.cast(tf.gather(images, indices), tf.float32)
        return augment(chosen, augmentation, tf.stack([seed, drawn])), tf.gather(answers, indices)

    return tf.data.Dataset.zip(seeds, order).map(prepare, num_parallel_calls=WORKERS).prefetch(2 * WORKERS)


def augment(images: Any, augmentation: Augmentation, seed: Any) -> Any:
    """Each image, float32 [N, height, width, channels], turned, sheared, zoomed and shifted about its middle.

    What comes in from outside is 0. `seed` is an integer tensor [2].
    """
    import tensorflow as tf

    shape = tf.shape(images)
    amounts = [
        math.radians(augmentation.rotation),
        augmentation.shear,
        augmentation.zoom,
        augmentation.zoom,
        augmentation.shift,
        augmentation.shift,
    ]
    spread = tf.constant(amounts, tf.float32)[:, None]
    drawn = tf.random.stateless_uniform([len(amounts), shape[0]], seed, -1.0, 1.0) * spread
    angle, shear, zoom_x, zoom_y, shift_x, shift_y = tf.unstack(drawn)
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    # From an output pixel (x, y) to the input pixel that it is taken from, both counted from the middle.
    xx, xy = cos * tf.exp(zoom_x), (cos * shear - sin) * tf.exp(zoom_x)
    yx, yy = sin * tf.exp(zoom_y), (sin * shear + cos) * tf.exp(zoom_y)
    middle_y, middle_x = tf.unstack((tf.cast(shape[1:3], tf.float32) - 1) / 2)
    from_x = middle_x + shift_x - xx * middle_x - xy * middle_y
    from_y = middle_y + shift_y - yx * middle_x - yy * middle_y
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, from_x, yx, yy, from_y, zero, zero], axis=1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
