"""Constants and types that tests import. Fixtures are in conftest.py."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAST = "--runtime", "litert", "--runtime", "onnxruntime"  # without TensorFlow, which takes seconds to import
WIDE = "--limit", "500", "--margin", "5"  # a margin that the artifacts of any trained network pass
BRIEFLY = "--seconds", "0.1", "--processes", "1"  # options of `bench` for tests that don't look at its results
TRAINING_SEED = int(os.environ.get("MNISTKIT_TEST_SEED", "7"))  # of every network that the tests train


@dataclass(frozen=True)
class Result:
    """The result of a command line."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]
