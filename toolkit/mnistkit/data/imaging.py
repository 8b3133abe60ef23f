"""Decodes picture files to raw pixels, with Pillow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import DataError, one_line
from mnistkit.core.packages import import_module

Resize = Literal["stretch", "crop", "pad"]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
MAX_PIXELS = 100_000_000  # of a picture: a small file can claim more than fits into memory


@dataclass(frozen=True)
class ImageFormat:
    """The shape that pictures are decoded to."""

    height: int
    width: int
    channels: int  # 1: grayscale, 3: RGB
    resize: Resize | None  # of pictures of another size; None: they are an error

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels


def open_picture(path: Path) -> Any:
    """The Pillow image of a file, not decoded yet; raises DataError if it is not one, or is too large.

    Raises MissingExtraError if Pillow is not installed.
    """
    pillow = import_module("PIL.Image", "images")
    try:
        picture = pillow.open(path, formats=("BMP", "JPEG", "PNG", "WEBP"))
    except Exception as error:  # Pillow raises many types of exception for corrupt files
        raise _invalid(path, error) from error
    if picture.width * picture.height > MAX_PIXELS:
        raise DataError(
            f"{path} has {picture.width}×{picture.height} pixels", f"use pictures of at most {MAX_PIXELS:,}"
        )
    if picture.mode.startswith("I") or picture.mode == "F":
        raise DataError(f"{path} has more than 8 bits for each channel", "convert it to 8 bits")
    return picture


def decode(path: Path, format: ImageFormat) -> NDArray[np.uint8]:
    """The pixels of a picture, uint8 [height, width, channels], as RGB or grayscale without transparency.

    Pictures of another size are resized bilinearly: stretched, cropped to the center, or padded with black. Raises
    DataError if the file is not a picture, or has another size and `format.resize` is None.
    """
    with open_picture(path) as picture:
        try:
            pixels = picture.convert("L" if format.channels == 1 else "RGB")
        except Exception as error:  # see open_picture
            raise _invalid(path, error) from error
        size = format.width, format.height
        if pixels.size != size:
            pixels = _resize(pixels, size, format.resize, path)
    return np.asarray(pixels, np.uint8).reshape(format.shape)


def _resize(picture: Any, size: tuple[int, int], method: Resize | None, path: Path) -> Any:
    from PIL import Image, ImageOps

    match method:
        case None:
            raise DataError(
                f"{path} has {picture.width}×{picture.height} pixels, not {size[0]}×{size[1]}",
                "pass --resize stretch, crop or pad",
            )
        case "stretch":
            return picture.resize(size, Image.Resampling.BILINEAR)
        case "crop":
            return ImageOps.fit(picture, size, Image.Resampling.BILINEAR)
        case "pad":
            return ImageOps.pad(picture, size, Image.Resampling.BILINEAR)


def _invalid(path: Path, error: Exception) -> DataError:
    return DataError(f"cannot read the picture {path}: {one_line(error, 200)}", "remove it, or save it again")
