"""Generates C99 without dependencies from an int8 .tflite file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistkit.formats.tflite_file import TfliteFile
from mnistkit_export.c.background import skip_blank
from mnistkit_export.c.fuse import fuse
from mnistkit_export.c.reader import Reader
from mnistkit_export.c.source import write

HEADER = """\
#ifndef MODEL_INT8_H
#define MODEL_INT8_H

#include <stdint.h>

#define MODEL_INPUT_BYTES {input}
#define MODEL_CLASSES {classes}
#define MODEL_ARENA_BYTES {arena}
#define MODEL_MACS {macs}

#ifdef __cplusplus
extern "C" {{
#endif

/* Classifies an image: {height} rows of {width} pixels of {channels} bytes, 0 to 255. Writes MODEL_CLASSES
   probabilities and returns the most probable class. `arena` is memory of MODEL_ARENA_BYTES, of any alignment, that no
   other thread uses meanwhile; what it contains before and after has no meaning. */
int model_predict(const uint8_t *image, float *probabilities, void *arena);

extern const uint32_t model_arena_bytes, model_input_bytes, model_classes;

#ifdef __cplusplus
}}
#endif

#endif
"""
SYMBOLS = """\
const uint32_t model_arena_bytes = MODEL_ARENA_BYTES;
const uint32_t model_input_bytes = MODEL_INPUT_BYTES;
const uint32_t model_classes = MODEL_CLASSES;
"""


@dataclass(frozen=True)
class GeneratedCode:
    """The generated files."""

    source: str
    header: str


def generate(model: TfliteFile, comment: str, images: NDArray[np.uint8] | None = None) -> GeneratedCode:
    """The C source and header of an int8 network; `comment` is the text of the head comment.

    `images` [N, height, width, channels] are like those that will be classified: if they are mostly background, the
    code skips blank inputs. None: it never does.

    Raises ExportError, naming the layer, if the network has an operator or a shape that cannot be generated.
    """
    network = fuse(Reader(model).network())
    if images is not None:
        network = skip_blank(network, images)
    source = write(network)
    height, width, channels = network.input.shape
    header = HEADER.format(
        input=network.input.size,
        classes=network.output.shape[2],
        arena=source.arena,
        macs=network.macs,
        height=height,
        width=width,
        channels=channels,
    )
    head = f"/*\n{comment}\n*/\n"
    return GeneratedCode(f"{head}{source.text}\n{SYMBOLS}", f"{head}{header}")
