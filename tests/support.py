"""Constants and types that tests import. Fixtures are in conftest.py."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistkit.bundle import EvaluationSet, digest_of_manifest, open_bundle, write_evaluation_set
from mnistkit.core import files

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


def keep_artifacts(bundle: Path, *names: str) -> None:
    """Remove all other artifacts from a bundle."""

    def change(manifest: dict[str, Any]) -> None:
        for artifact in manifest["artifacts"]:
            if artifact["file"] not in names:
                for file in filter(None, (artifact, artifact["header"], *artifact["libraries"])):
                    (bundle / file["file"]).unlink()
        manifest["artifacts"] = [artifact for artifact in manifest["artifacts"] if artifact["file"] in names]

    edit_manifest(bundle, change)


def update_checksums(bundle: Path) -> None:
    """Correct the SHA-256 of every file of the artifacts in the manifest."""

    def change(manifest: dict[str, Any]) -> None:
        for artifact in manifest["artifacts"]:
            for file in filter(None, (artifact, artifact["header"], *artifact["libraries"])):
                file["sha256"] = files.sha256_of(bundle / file["file"])

    edit_manifest(bundle, change)


def add_library(bundle: Path, target: str, content: bytes) -> None:
    """Add a library to the C artifact of a bundle."""
    (bundle / f"model.int8.{target}.so").write_bytes(content)

    def change(manifest: dict[str, Any]) -> None:
        (artifact,) = (artifact for artifact in manifest["artifacts"] if artifact["format"] == "c")
        library = {"file": f"model.int8.{target}.so", "sha256": "", "bytes": len(content), "target": target}
        artifact["libraries"].append(library | {"compiler": "cc"})

    edit_manifest(bundle, change)
    update_checksums(bundle)


def use_perfect_reference(bundle: Path) -> None:
    """Replace the original model's predictions by the labels, so that all artifacts are less accurate."""
    opened = open_bundle(bundle)
    evaluation, stated = opened.evaluation_set(), opened.manifest.provenance.source_model.accuracy
    perfect = np.eye(10, dtype=np.float32)[evaluation.labels]
    perfect_set = EvaluationSet(evaluation.images, evaluation.labels, perfect, perfect * np.float32(50))
    _, reference = write_evaluation_set(bundle, perfect_set)
    before, after = f'"accuracy":{stated}'.encode(), b'"accuracy":1.0'
    checksums = {"reference.npz": reference.sha256}
    for artifact in opened.manifest.artifacts:  # their metadata have the accuracy too
        content = (bundle / artifact.file).read_bytes()
        assert before in content
        (bundle / artifact.file).write_bytes(content.replace(before, after.ljust(len(before))))
        checksums[artifact.file] = files.sha256_of(bundle / artifact.file)

    def change(manifest: dict[str, Any]) -> None:
        manifest["provenance"]["source_model"]["accuracy"] = 1.0
        for file in (manifest["reference"], *manifest["artifacts"]):
            file["sha256"] = checksums[file["file"]]

    edit_manifest(bundle, change)
