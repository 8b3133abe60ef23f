"""Complete bundles open; incomplete, corrupt and inconsistent ones are rejected."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Cli, edit_manifest, write_manifest

from mnistkit.bundle import MANIFEST, Bundle, EvaluationSet, open_bundle
from mnistkit.core.errors import MnistkitError

Manifest = dict[str, Any]


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).rename(bundle.parent / "outside")
    (bundle / MANIFEST).symlink_to(bundle.parent / "outside")


def link_artifact(bundle: Path) -> None:
    (bundle / "model.int8.onnx").rename(bundle.parent / "outside")
    (bundle / "model.int8.onnx").symlink_to(bundle.parent / "outside")


def replace_artifact_by_folder(bundle: Path) -> None:
    (bundle / "model.int8.onnx").unlink()
    (bundle / "model.int8.onnx").mkdir()


def rename_artifact(name: str) -> Callable[[Path], None]:
    return lambda bundle: edit_manifest(bundle, lambda manifest: manifest["artifacts"][0].update(file=name))


def remove_artifacts_from_manifest(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(artifacts=[]))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "corrupt artifact": (lambda b: flip_bit(b / "model.int8.tflite"), "model.int8.tflite is corrupt"),
    "corrupt test set": (lambda b: flip_bit(b / "testset.npz"), "testset.npz is corrupt"),
    "corrupt reference": (lambda b: flip_bit(b / "reference.npz"), "reference.npz is corrupt"),
    "empty artifact": (lambda b: (b / "model.int8.onnx").write_bytes(b""), "model.int8.onnx is corrupt"),
    "missing artifact": (lambda b: (b / "model.float32.onnx").unlink(), "model.float32.onnx is missing"),
    "missing manifest": (lambda b: (b / MANIFEST).unlink(), "is not a bundle: it has no manifest.json"),
    "extra file": (lambda b: (b / "notes.txt").touch(), "notes.txt is not in the manifest"),
    "folder instead of a file": (replace_artifact_by_folder, "is not a regular file"),
    "linked artifact": (link_artifact, "is not a regular file"),
    "linked manifest": (link_manifest, "is not a bundle: it has no manifest.json"),
    "unprintable name": (rename_artifact("a\x1bb"), "invalid file name"),
    "name in the parent folder": (rename_artifact("../secret"), "invalid file name"),
    "absolute name": (rename_artifact("/etc/passwd"), "invalid file name"),
    "dots": (rename_artifact(".."), "invalid file name"),
    "duplicate name": (rename_artifact("model.int8.tflite"), "lists a file twice"),
    "no artifacts": (remove_artifacts_from_manifest, "lists no artifacts"),
    "not JSON": (lambda b: (b / MANIFEST).write_text("{"), "is not a bundle record"),
    "newer version": (lambda b: edit_manifest(b, lambda m: m.update(version=99)), "newer mnistkit.*upgrade"),
    "unknown format": (
        lambda b: edit_manifest(b, lambda m: m["artifacts"][0].update(format="exe")),
        "not one of tflite, onnx",
    ),
}


@pytest.mark.parametrize("command", ["verify", "bench"])
@pytest.mark.parametrize(("inject_fault", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_corrupt_bundle_is_rejected(
    mnistkit: Cli, bundle: Path, tmp_path: Path, inject_fault: Callable[[Path], object], message: str, command: str
) -> None:
    inject_fault(bundle)
    result = mnistkit(command, bundle, "--json", tmp_path / "report.json")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert re.search(message, result.err)
    assert not (tmp_path / "report.json").exists()


def test_path_without_a_bundle_is_rejected(mnistkit: Cli, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        result = mnistkit("verify", path)
        assert result.code == 2
        assert "mnistkit export" in result.err


def replace_npz(bundle: Path, name: str, arrays: dict[str, Any]) -> None:
    """Replace an npz file of the bundle and update its checksum in the manifest."""
    from mnistkit.core import files

    files.write_npz(bundle / name, arrays)
    key = name.removesuffix(".npz").replace("testset", "test_set")
    edit_manifest(bundle, lambda manifest: manifest[key].update(sha256=files.sha256_of(bundle / name)))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((10_000, 28, 28), np.uint8), np.zeros(10_000, np.int64)),
        (np.zeros((10_000, 28, 28, 1), np.float32), np.zeros(10_000, np.int64)),
        (np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, np.int64)),
        (np.zeros((10_000, 28, 28, 1), np.uint8), np.zeros(9_999, np.int64)),
        (np.zeros((10_000, 28, 28, 1), np.uint8), np.full(10_000, 10)),
        (np.zeros((5, 28, 28, 1), np.uint8), np.zeros(5, np.int64)),
    ],
    ids=["no channels", "float images", "no images", "too few labels", "unknown label", "too few images"],
)
def test_invalid_test_set_is_rejected(mnistkit: Cli, bundle: Path, images: Any, labels: Any) -> None:
    replace_npz(bundle, "testset.npz", {"images_00000": images, "labels": labels})
    result = mnistkit("verify", bundle)
    assert result.code == 2
    assert "the test set is invalid" in result.err


def test_reference_without_probabilities_is_rejected(mnistkit: Cli, bundle: Path) -> None:
    replace_npz(bundle, "reference.npz", {"other": np.zeros(3)})
    result = mnistkit("verify", bundle)
    assert result.code == 2
    assert "no array probabilities" in result.err


def test_reference_with_values_outside_0_to_1_is_rejected(mnistkit: Cli, bundle: Path) -> None:
    evaluation = open_bundle(bundle).evaluation_set()
    for value in (np.nan, 2, -1):
        probabilities = evaluation.reference.copy()
        probabilities[5, 5] = value
        digest = np.array(evaluation.digest)
        arrays = {"probabilities": probabilities, "logits": evaluation.logits, "test_set_sha256": digest}
        replace_npz(bundle, "reference.npz", arrays)
        result = mnistkit("verify", bundle)
        assert result.code == 2
        assert "not probabilities" in result.err


def test_test_set_with_another_image_size_is_rejected(mnistkit: Cli, bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest["artifacts"][2]["input"].update(shape=[1, 20, 28, 1]))
    result = mnistkit("verify", bundle)
    assert result.code == 2
    assert "model.dynamic.tflite is incompatible with images of shape [28, 28, 1] and 10 classes" in result.err


def test_reference_of_another_test_set_is_rejected(mnistkit: Cli, bundle: Path) -> None:
    evaluation = open_bundle(bundle).evaluation_set()
    reversed_set = {"images_00000": evaluation.images[:][::-1], "labels": evaluation.labels[::-1]}
    replace_npz(bundle, "testset.npz", reversed_set)
    for command in ("verify", "predict"):
        result = mnistkit(command, bundle)
        assert result.code == 2
        assert "the reference predictions belong to another test set" in result.err


@pytest.fixture(scope="module")
def complete(workspace: Path) -> EvaluationSet:
    return open_bundle(workspace / "bundle").evaluation_set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.sampled_from(["testset.npz", "reference.npz"]), st.integers(0, 2**20), st.binary(max_size=8), st.booleans())
def test_corrupt_npz_is_rejected_even_if_the_manifest_has_its_checksum(
    workspace: Path, complete: EvaluationSet, tmp_path: Path, name: str, position: int, junk: bytes, truncate: bool
) -> None:
    bundle = tmp_path / "corrupt"
    if not bundle.exists():
        shutil.copytree(workspace / "bundle", bundle)
    content = bytearray((workspace / "bundle" / name).read_bytes())
    position %= len(content)
    content[position : None if truncate else position + len(junk)] = junk
    (bundle / name).write_bytes(content)
    shutil.copyfile(workspace / "bundle" / MANIFEST, bundle / MANIFEST)
    key = name.removesuffix(".npz").replace("testset", "test_set")
    edit_manifest(bundle, lambda manifest: manifest[key].update(sha256=hashlib.sha256(content).hexdigest()))
    try:
        evaluation = open_bundle(bundle).evaluation_set()
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # some bytes, such as a member's date, do not matter
    else:
        assert evaluation.digest == complete.digest
    finally:
        shutil.copyfile(workspace / "bundle" / name, bundle / name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_manifest_with_a_changed_value_opens_or_is_rejected_in_one_line(
    workspace: Path, tmp_path: Path, data: Any
) -> None:
    bundle = tmp_path / "fuzzed"
    if not bundle.exists():
        shutil.copytree(workspace / "bundle", bundle)
    manifest = json.loads((workspace / "bundle" / MANIFEST).read_text())
    parent: Any = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        if not isinstance(parent[key], dict | list) or not parent[key] or data.draw(st.booleans()):
            break
        parent = parent[key]
    write = data.draw(st.sampled_from([write_manifest, lambda path, content: path.write_text(json.dumps(content))]))
    parent[key] = data.draw(
        st.none() | st.integers() | st.text() | st.sampled_from(["../x", "/etc/passwd", [], {}, [[]]])
    )
    write(bundle / MANIFEST, manifest)
    try:
        opened = open_bundle(bundle)
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # some values, such as a tool version, do not matter
    else:
        assert isinstance(opened, Bundle)
        assert all(opened.file(file).parent == bundle for file in opened.manifest.files())
