"""Checks and counts generated C on processors that this machine does not have.

    python tools/c_code.py check BUNDLE --cpu cortex-m55   compare the probabilities with those of LiteRT
    python tools/c_code.py count BUNDLE --cpu cortex-a76   count the instructions of one inference, by function

Checks run the code between guards, with images and arenas at many alignments. On a microcontroller, the probabilities
must be those of TFLite's reference kernels; on all other processors, those of LiteRT with XNNPACK.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import c_programs
from emulated_pi import userland
from emulated_pi.counting import MODELS
from generated_code import counts, predictions
from generated_code.processors import PROCESSORS, Processor
from instructions import blocks, cycles
from mnistkit.bundle import open_bundle
from mnistkit.cli import terminal

MNEMONICS = 12  # of each function that are printed


def check(bundle: Path, source: Path, processor: Processor, images: NDArray[np.uint8], options: tuple[str, ...]) -> int:
    """Print the number of images whose probabilities differ from LiteRT's, and return it."""
    kernels: c_programs.Kernels = "reference" if processor.board else "xnnpack"
    expected = c_programs.predict_tflite((bundle / "model.int8.tflite").read_bytes(), kernels, images)
    rows = c_programs.differing_rows(predictions.predict(source, processor, images, options), expected)
    first = f"; the first is {rows[0]}" if rows else ""
    terminal.show(f"{len(rows)} of {len(images)} images differ from LiteRT ({kernels} kernels){first}")
    return len(rows)


def count(source: Path, processor: Processor, image: NDArray[np.uint8], options: tuple[str, ...]) -> None:
    """Print the instructions of one inference and of each function, and the estimated cycles if there is a model."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        program = counts.build(source, processor, Path(folder), options)
        executed = counts.count(program, processor, blocks.build_plugin(userland.BUILD), image)
        functions = counts.by_function(program, processor, executed)
    model = MODELS.get(processor.emulator[-1])
    estimated = f", {cycles.estimate(executed, model):,.0f} cycles" if model else ""
    terminal.show(f"{blocks.count(executed):,} instructions{estimated}")
    for function in functions:
        mnemonics = ", ".join(f"{name} {number:,}" for name, number in function.mnemonics.most_common(MNEMONICS))
        terminal.show(f"{function.name:24} {function.instructions:>11,}   {mnemonics}")


def main() -> None:
    """Check or count; exits with 1 if probabilities differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("check", "count"))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cpu", choices=PROCESSORS, default="cortex-a76")
    parser.add_argument("--images", type=int, default=1000, help="number of test images to check")
    parser.add_argument("--image", type=int, default=0, help="index of the test image to count")
    parser.add_argument("--source", type=Path, help="the C file, if it is not that of the bundle")
    parser.add_argument("--options", default="-O2", help="options of the compiler (--options='-O2 -DMODEL_PLAIN')")
    arguments = parser.parse_args()
    processor = PROCESSORS[arguments.cpu]
    if reason := processor.unavailable_reason():
        raise SystemExit(reason)
    if arguments.action == "count" and not processor.emulator:
        raise SystemExit(f"{arguments.cpu} is not emulated, so its instructions can't be counted")
    bundle = open_bundle(arguments.bundle)
    images = np.asarray(bundle.evaluation_set().images[: max(arguments.images, arguments.image + 1)], np.uint8)
    source, options = arguments.source or arguments.bundle / "model.int8.c", tuple(arguments.options.split())
    if arguments.action == "count":
        count(source, processor, images[arguments.image], options)
    elif check(arguments.bundle, source, processor, images[: arguments.images], options):
        sys.exit(1)


if __name__ == "__main__":
    main()
