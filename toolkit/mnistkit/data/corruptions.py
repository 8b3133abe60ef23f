"""Corruptions of images, with numpy alone: N. Mu and J. Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision,
2019, at the severities of that data set, and two from its extended list, contrast and Gaussian blur.

Lengths are given for 28×28 images and scale with the size. Randomness depends on the seed, the corruption and the
position of the image alone.
"""  # noqa: D205

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.images import Images, TemporaryImages

Pixels = NDArray[np.float32]  # [N, height, width, channels], 0 to 1
Corruption = Callable[[Pixels, np.random.Generator], Pixels]

MNIST_SIZE = 28
CHUNK_IMAGES = 500  # that share a generator

SHOT_PHOTONS = 3
IMPULSE_SHARE = 0.17
BLUR_SIGMA = 2.0  # pixels
BRIGHTNESS = 0.5
CONTRAST = 0.1
ANGLE = 0.4  # radians, of rotation and shear
SCALE = 0.7
TRANSLATION = 3.0  # pixels
LINE_REACH = 2.3  # pixels from the middle of a line to its end
FOG, FOG_DECAY = 3.0, 1.4
FOG_SIZE = 256  # of a map of fog; a power of two
FOG_MAPS = 16  # from which random parts are taken


def _shot_noise(images: Pixels, rng: np.random.Generator) -> Pixels:
    return (rng.poisson(images * SHOT_PHOTONS) / SHOT_PHOTONS).astype(np.float32)


def _impulse_noise(images: Pixels, rng: np.random.Generator) -> Pixels:
    changed, salt = rng.random(images.shape) < IMPULSE_SHARE, rng.random(images.shape) < 0.5
    return np.where(changed, salt, images).astype(np.float32)


def _blur(images: Pixels, rng: np.random.Generator) -> Pixels:
    sigma = BLUR_SIGMA * images.shape[1] / MNIST_SIZE
    reach = math.ceil(4 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (reach, reach)
        padded = np.pad(images, padding, "edge")
        size = images.shape[axis]
        images = sum(
            (weight * padded.take(range(start, start + size), axis) for start, weight in enumerate(weights)),
            np.zeros_like(images),
        )
    return images


def _brightness(images: Pixels, rng: np.random.Generator) -> Pixels:
    """The value of HSV rises; hue and saturation stay."""
    value = images.max(axis=3, keepdims=True)
    raised = np.minimum(value + BRIGHTNESS, 1)
    brighter: Pixels = np.where(value > 0, images * (raised / np.where(value > 0, value, 1)), raised)
    return brighter


def _contrast(images: Pixels, rng: np.random.Generator) -> Pixels:
    mean = images.mean(axis=(1, 2), keepdims=True)
    flattened: Pixels = (images - mean) * np.float32(CONTRAST) + mean
    return flattened


def _rotation(images: Pixels, rng: np.random.Generator) -> Pixels:
    cos, sin = math.cos(ANGLE), math.sin(ANGLE)
    return _either(images, rng, [[cos, -sin], [sin, cos]], [[cos, sin], [-sin, cos]])


def _shear(images: Pixels, rng: np.random.Generator) -> Pixels:
    cos, sin = math.cos(ANGLE), math.sin(ANGLE)
    return _either(images, rng, [[1, -sin], [0, cos]], [[1, sin], [0, cos]])


def _scale(images: Pixels, rng: np.random.Generator) -> Pixels:
    return _warp(images, [[1 / SCALE, 0], [0, 1 / SCALE]])


def _translation(images: Pixels, rng: np.random.Generator) -> Pixels:
    rows, columns = (round(TRANSLATION * size / MNIST_SIZE) for size in images.shape[1:3])
    moved = np.zeros_like(images)
    down, right = rng.random((2, len(images))) < 0.5
    for selected, row in ((down, rows), (~down, -rows)):
        for also_selected, column in ((right, columns), (~right, -columns)):
            chosen = selected & also_selected
            moved[chosen] = _warp(images[chosen], [[1, 0], [0, 1]], (column, row))
    return moved


def _stripe(images: Pixels, rng: np.random.Generator) -> Pixels:
    """The first and the last quarter of the columns are inverted."""
    inverted, quarter = images.copy(), images.shape[2] // 4
    for columns in (slice(0, quarter), slice(images.shape[2] - quarter, None)):
        inverted[:, :, columns] = 1 - images[:, :, columns]
    return inverted


def _dotted_line(images: Pixels, rng: np.random.Generator) -> Pixels:
    starts, ends = rng.integers(0, 27, (2, len(images))).astype(np.float64)
    zeros = np.zeros(len(images))
    line = _line(images.shape, zeros, starts, zeros + 27, ends)
    columns = np.linspace(0, MNIST_SIZE, images.shape[2], endpoint=False)
    return _add(images, line * (columns // 2 % 2 == 1)[:, None])


def _zigzag(images: Pixels, rng: np.random.Generator) -> Pixels:
    """A line of teeth, 4 pixels long and 2 high, from column 2 to column 25."""
    start_row = rng.integers(0, 27, len(images)).astype(np.float64)
    angle = np.arctan(rng.integers(-5, 5, len(images)) / 23)
    length = 23 / np.cos(angle)  # 23 to 23.6
    last_height = -2 / (2 * (length - 20))
    along = [0.0 * length, *(0 * length + 2 * (2 * tooth + 1) for tooth in range(6)), length]
    across = [0.0 * length, *(0 * length + 2 * (-1) ** tooth for tooth in range(6)), last_height]
    columns = [2 + x * np.cos(angle) - y * np.sin(angle) for x, y in zip(along, across, strict=True)]
    rows = [start_row + x * np.sin(angle) + y * np.cos(angle) for x, y in zip(along, across, strict=True)]
    for end in range(1, len(columns)):
        line = _line(images.shape, columns[end - 1], rows[end - 1], columns[end], rows[end])
        images = _add(images, line)
    return images


def _fog(images: Pixels, rng: np.random.Generator) -> Pixels:
    maps = _fog_maps(rng)
    height, width = images.shape[1:3]
    chosen, top, left = rng.integers(0, [[FOG_MAPS], [FOG_SIZE], [FOG_SIZE]], (3, len(images)))
    rows, columns = (top[:, None] + np.arange(height)) % FOG_SIZE, (left[:, None] + np.arange(width)) % FOG_SIZE
    fog = maps[chosen[:, None, None], rows[:, :, None], columns[:, None, :], None]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    foggy: Pixels = ((images + FOG * fog) * brightest / (brightest + FOG)).astype(np.float32)
    return foggy


CORRUPTIONS: dict[str, Corruption] = {
    "shot noise": _shot_noise,
    "impulse noise": _impulse_noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "rotation": _rotation,
    "shear": _shear,
    "scale": _scale,
    "translation": _translation,
    "stripe": _stripe,
    "dotted line": _dotted_line,
    "zigzag": _zigzag,
    "fog": _fog,
}


def corrupt(images: Images, corruption: str, seed: int = 0) -> TemporaryImages:
    """The corrupted images, uint8 [N, height, width, channels] in a temporary file. Raises StorageError."""
    corrupted = TemporaryImages(images.shape[1:])
    number = list(CORRUPTIONS).index(corruption)
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES].astype(np.float32) / np.float32(255)
        values = CORRUPTIONS[corruption](chunk, np.random.default_rng((seed, number, start)))
        corrupted.append((np.clip(values, 0, 1) * 255).round().astype(np.uint8))
    return corrupted


def _either(images: Pixels, rng: np.random.Generator, *matrices: list[list[float]]) -> Pixels:
    """Each image transformed by one of the matrices, at random."""
    choice = rng.integers(0, len(matrices), len(images))
    transformed = np.empty_like(images)
    for number, matrix in enumerate(matrices):
        transformed[choice == number] = _warp(images[choice == number], matrix)
    return transformed


def _warp(images: Pixels, matrix: list[list[float]], offset: tuple[float, float] = (0, 0)) -> Pixels:
    """Bilinear interpolation at `matrix` @ (x, y) + `offset`, relative to the center; black outside of the image."""
    height, width = images.shape[1:3]
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    y, x = np.mgrid[0:height, 0:width]
    points = np.stack([x - center[0], y - center[1]], axis=-1) @ np.array(matrix).T + center + np.array(offset)
    points = np.clip(points, -1, [width, height]) + 1  # in the padded image
    low = np.floor(points).astype(np.intp)
    low = np.minimum(low, [width, height])
    part = (points - low).astype(np.float32)[None, :, :, :, None]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    column, row = low[..., 0], low[..., 1]
    top = padded[:, row, column] * (1 - part[:, :, :, 0]) + padded[:, row, column + 1] * part[:, :, :, 0]
    bottom = padded[:, row + 1, column] * (1 - part[:, :, :, 0]) + padded[:, row + 1, column + 1] * part[:, :, :, 0]
    warped: Pixels = top * (1 - part[:, :, :, 1]) + bottom * part[:, :, :, 1]
    return warped


def _line(
    shape: tuple[int, ...],
    start_columns: NDArray[np.float64],
    start_rows: NDArray[np.float64],
    end_columns: NDArray[np.float64],
    end_rows: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A line in each image, float64 [N, height, width, 1], that fades with the vertical distance from it."""
    rows, columns = (np.linspace(0, MNIST_SIZE - 1, size) for size in shape[1:3])
    slope = (end_rows - start_rows) / (end_columns - start_columns)
    middle = slope[:, None] * (columns - start_columns[:, None]) + start_rows[:, None]
    distance = np.minimum(abs(rows[:, None] - middle[:, None, :]), LINE_REACH - 1e-10)
    line = np.clip(np.log(1 - distance / LINE_REACH) + 1, 0, 1)
    inside = (columns >= np.floor(start_columns)[:, None]) & (columns < np.ceil(end_columns)[:, None])
    visible: NDArray[np.float64] = (line * inside[:, None, :])[..., None]
    return visible


def _add(images: Pixels, line: NDArray[np.float64]) -> Pixels:
    return np.clip(images + line, 0, 1).astype(np.float32)


def _fog_maps(rng: np.random.Generator) -> NDArray[np.float64]:
    """Fractal height maps, float64 [FOG_MAPS, FOG_SIZE, FOG_SIZE], 0 to 1, that repeat at their borders.

    By the diamond-square algorithm: A. Fournier et al., Computer Rendering of Stochastic Models, 1982.
    """
    maps = np.zeros((FOG_MAPS, FOG_SIZE, FOG_SIZE))
    step, amplitude = FOG_SIZE, 100.0
    while step >= 2:
        half = step // 2
        corners = maps[:, ::step, ::step]
        squares = corners + np.roll(corners, -1, 1)
        squares = squares + np.roll(squares, -1, 2)
        maps[:, half::step, half::step] = squares / 4 + _wobble(rng, squares.shape, amplitude)
        centers = maps[:, half::step, half::step]
        vertical = centers + np.roll(centers, 1, 1) + corners + np.roll(corners, -1, 2)
        maps[:, ::step, half::step] = vertical / 4 + _wobble(rng, vertical.shape, amplitude)
        horizontal = centers + np.roll(centers, 1, 2) + corners + np.roll(corners, -1, 1)
        maps[:, half::step, ::step] = horizontal / 4 + _wobble(rng, horizontal.shape, amplitude)
        step, amplitude = half, amplitude / FOG_DECAY
    maps -= maps.min(axis=(1, 2), keepdims=True)
    maps /= maps.max(axis=(1, 2), keepdims=True)
    return maps


def _wobble(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> NDArray[np.float64]:
    return amplitude * rng.uniform(-amplitude, amplitude, shape)
