"""Constants and types that tests import. Fixtures are in conftest.py."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistkit.bundle import digest_of_manifest

ROOT = Path(__file__).parent.parent
FAST = "--runtime", "litert", "--runtime", "onnxruntime"  # without TensorFlow, which takes seconds to import
WIDE = "--limit", "500", "--margin", "5"  # a margin that the artifacts of any trained network pass
UNTRAINED = "--preprocessing", "raw", "--accept-accuracy"  # options of `export` for models that were not trained
BRIEFLY = "--seconds", "0.1", "--processes", "1"  # options of `bench` for tests that don't look at its results
TRAINING_SEED = int(os.environ.get("MNISTKIT_TEST_SEED", "7"))  # of every network that the tests train


@dataclass(frozen=True)
class Result:
    """The result of a command line."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle and update its SHA-256."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    write_manifest(path, manifest)


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest, of any content, with the SHA-256 of its fields."""
    path.write_text(json.dumps(manifest | {"sha256": digest_of_manifest(json.dumps(manifest))}))
