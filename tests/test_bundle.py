"""A bundle is opened whole or not at all."""

from __future__ import annotations

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
from support import Cli

from mnistkit.bundle import MANIFEST, Bundle, open_bundle
from mnistkit.core.errors import MnistkitError

Manifest = dict[str, Any]


def edit(bundle: Path, change: Callable[[Manifest], object]) -> None:
    path = bundle / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def linked_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).rename(bundle.parent / "outside")
    (bundle / MANIFEST).symlink_to(bundle.parent / "outside")


def outward_link(bundle: Path) -> None:
    (bundle / "model.int8.onnx").rename(bundle.parent / "outside")
    (bundle / "model.int8.onnx").symlink_to(bundle.parent / "outside")


def folder_for_file(bundle: Path) -> None:
    (bundle / "model.int8.onnx").unlink()
    (bundle / "model.int8.onnx").mkdir()


def points_to(name: str) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle, lambda manifest: manifest["artifacts"][0].update(file=name))


def without_artifacts(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest.update(artifacts=[]))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed artifact": (lambda b: flip(b / "model.int8.tflite"), "model.int8.tflite was changed"),
    "changed test set": (lambda b: flip(b / "testset.npz"), "testset.npz was changed"),
    "changed reference": (lambda b: flip(b / "reference.npz"), "reference.npz was changed"),
    "cut artifact": (lambda b: (b / "model.int8.onnx").write_bytes(b""), "model.int8.onnx was changed"),
    "missing artifact": (lambda b: (b / "model.float32.onnx").unlink(), "model.float32.onnx is missing"),
    "missing manifest": (lambda b: (b / MANIFEST).unlink(), "is no bundle: it has no manifest.json"),
    "extra file": (lambda b: (b / "notes.txt").touch(), "notes.txt doesn't belong to it"),
    "folder for file": (folder_for_file, "is not a plain file"),
    "outward link": (outward_link, "is not a plain file"),
    "linked manifest": (linked_manifest, "is no bundle: it has no manifest.json"),
    "unprintable name": (points_to("a\x1bb"), "which is no plain name"),
    "upward name": (points_to("../secret"), "which is no plain name"),
    "absolute name": (points_to("/etc/passwd"), "which is no plain name"),
    "dots": (points_to(".."), "which is no plain name"),
    "twice": (points_to("model.int8.tflite"), "names a file twice"),
    "no artifacts": (without_artifacts, "names no artifact"),
    "not JSON": (lambda b: (b / MANIFEST).write_text("{"), "is not a bundle record"),
    "newer": (lambda b: edit(b, lambda m: m.update(version=99)), "newer mnistkit.*upgrade"),
    "unknown format": (lambda b: edit(b, lambda m: m["artifacts"][0].update(format="exe")), "not one of tflite, onnx"),
}


@pytest.mark.parametrize("command", ["verify", "bench"])
@pytest.mark.parametrize(("spoil", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_bundle_is_refused(
    mnistkit: Cli, bundle: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str, command: str
) -> None:
    spoil(bundle)
    outcome = mnistkit(command, bundle, "--json", tmp_path / "report.json")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert re.search(message, outcome.err)
    assert not (tmp_path / "report.json").exists()


def test_what_is_no_folder_is_refused(mnistkit: Cli, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        outcome = mnistkit("verify", path)
        assert outcome.code == 2
        assert "mnistkit export" in outcome.err


def with_test_set(bundle: Path, name: str, arrays: dict[str, Any]) -> None:
    """Put these arrays in, with a manifest that vouches for them."""
    from mnistkit.core import files

    files.write_npz(bundle / name, arrays)
    key = name.removesuffix(".npz").replace("testset", "test_set")
    edit(bundle, lambda manifest: manifest[key].update(sha256=files.sha256_of(bundle / name)))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.int64)),
        (np.zeros((5, 28, 28, 1), np.float32), np.zeros(5, np.int64)),
        (np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, np.int64)),
        (np.zeros((10_000, 28, 28, 1), np.uint8), np.zeros(9_999, np.int64)),
        (np.zeros((10_000, 28, 28, 1), np.uint8), np.full(10_000, 10)),
        (np.zeros((5, 28, 28, 1), np.uint8), np.zeros(5, np.int64)),
    ],
    ids=["no channels", "floats", "empty", "labels short", "unknown label", "reference longer"],
)
def test_a_test_set_that_fits_nothing_is_refused(mnistkit: Cli, bundle: Path, images: Any, labels: Any) -> None:
    with_test_set(bundle, "testset.npz", {"images": images, "labels": labels})
    outcome = mnistkit("verify", bundle)
    assert outcome.code == 2
    assert "the test set is broken" in outcome.err


def test_a_test_set_of_other_arrays_is_refused(mnistkit: Cli, bundle: Path) -> None:
    with_test_set(bundle, "reference.npz", {"answers": np.zeros(3)})
    outcome = mnistkit("verify", bundle)
    assert outcome.code == 2
    assert "no array probabilities, test_set_sha256" in outcome.err


def test_a_reference_that_holds_no_probabilities_is_refused(mnistkit: Cli, bundle: Path) -> None:
    evaluation = open_bundle(bundle).evaluation_set()
    for value in (np.nan, 2, -1):
        probabilities = evaluation.reference.copy()
        probabilities[5, 5] = value
        identity = np.array(evaluation.digest)
        with_test_set(bundle, "reference.npz", {"probabilities": probabilities, "test_set_sha256": identity})
        outcome = mnistkit("verify", bundle)
        assert outcome.code == 2
        assert "no probabilities" in outcome.err


def test_images_of_another_size_than_the_artifacts_are_refused(mnistkit: Cli, bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["artifacts"][2]["input"].update(shape=[1, 20, 28, 1]))
    outcome = mnistkit("verify", bundle)
    assert outcome.code == 2
    assert "model.dynamic.tflite does not fit images of 28, 28, 1 and 10 classes" in outcome.err


def test_a_reference_made_from_another_test_set_is_refused(mnistkit: Cli, bundle: Path) -> None:
    evaluation = open_bundle(bundle).evaluation_set()
    backwards = {"images": evaluation.images[::-1].copy(), "labels": evaluation.labels[::-1].copy()}
    with_test_set(bundle, "testset.npz", backwards)
    for command in ("verify", "predict"):
        outcome = mnistkit(command, bundle)
        assert outcome.code == 2
        assert "the original's answers are on other images" in outcome.err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.sampled_from(["testset.npz", "reference.npz"]), st.integers(0, 2**20), st.binary(max_size=8), st.booleans())
def test_a_test_set_that_was_cut_or_overwritten_is_refused_even_if_the_manifest_vouches_for_it(
    workspace: Path, tmp_path: Path, name: str, place: int, junk: bytes, cut: bool
) -> None:
    from mnistkit.bundle import EvaluationSet, write_evaluation_set

    bundle = tmp_path / "spoiled"
    if not bundle.exists():
        shutil.copytree(workspace / "bundle", bundle)
    whole = open_bundle(workspace / "bundle").evaluation_set()
    few = EvaluationSet(whole.images[:20], whole.labels[:20], whole.reference[:20])
    entries = {file.file: file.sha256 for file in write_evaluation_set(bundle, few)}
    content = bytearray((bundle / name).read_bytes())
    place %= len(content)
    content[place : None if cut else place + len(junk)] = junk
    (bundle / name).write_bytes(content)
    entries[name] = hashlib.sha256(content).hexdigest()
    manifest = json.loads((bundle / MANIFEST).read_text())
    for file, sha256 in entries.items():
        manifest[file.removesuffix(".npz").replace("testset", "test_set")]["sha256"] = sha256
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    try:
        found = open_bundle(bundle).evaluation_set()
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # a changed date in the archive, say, harms nothing
    else:
        assert found.digest == few.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_manifest_with_any_value_changed_opens_or_is_refused_in_one_line(
    workspace: Path, tmp_path: Path, data: Any
) -> None:
    bundle = tmp_path / "fuzzed"
    if not bundle.exists():
        shutil.copytree(workspace / "bundle", bundle)
    manifest = json.loads((workspace / "bundle" / MANIFEST).read_text())
    place: Any = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(
        st.none() | st.integers() | st.text() | st.sampled_from(["../x", "/etc/passwd", [], {}, [[]]])
    )
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    try:
        opened = open_bundle(bundle)
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # a changed tool version, say, harms nothing
    else:
        assert isinstance(opened, Bundle)
        assert all(opened.file(file).parent == bundle for file in opened.manifest.files())
