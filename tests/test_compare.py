"""Prediction files: saving, loading and comparing them."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import Cli

from mnistkit.core import files
from mnistkit.core.errors import MnistkitError, RecordError
from mnistkit.device.machine import Machine
from mnistkit.verify import predictions
from mnistkit.verify.predictions import ArtifactRun, NotRun, Predictions, PredictionsRecord
from mnistkit.verify.report import compare_predictions

IMAGES = 4000


def make_predictions(
    *rows: tuple[str, str], number: int = 1, output_scale: float | None = None, regressions: int = 0
) -> Predictions:
    """Predictions of (artifact, runtime) rows: correct except for the first `regressions` images."""
    labels = np.arange(IMAGES) % 10
    predicted = labels.copy()
    predicted[:regressions] += 1
    probabilities = np.eye(10, dtype=np.float32)[predicted % 10]
    record = PredictionsRecord(
        bundle_sha256="b",
        test_set_sha256="t",
        seed=None,
        max_logit=10.0,
        machine=Machine(f"CPU {number}", 2, "aarch64", "Linux"),
        versions={"python": f"3.1{number}"},
        rows=tuple(ArtifactRun(artifact, "a", "int8", output_scale, runtime, 0.1) for artifact, runtime in rows),
        not_run=(),
    )
    reference = np.eye(10, dtype=np.float32)[labels]
    stacked = np.array([probabilities] * len(rows), np.float32).reshape(-1, IMAGES, 10)
    return Predictions(record, np.arange(IMAGES), labels, reference, stacked)


def select(whole: Predictions, positions: NDArray[np.int64]) -> Predictions:
    """The predictions of some of the images."""
    arrays = whole.indices[positions], whole.labels[positions], whole.reference[positions]
    return Predictions(whole.record, *arrays, whole.probabilities[:, positions])


def test_files_of_verify_are_compared_with_themselves_and_across_runtimes(
    mnistkit: Cli, workspace: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    margin = "--margin", 5  # wide: no verdict depends on a few flips
    arguments = ("verify", workspace / "bundle", "--limit", 1000, *margin)
    runtimes = "--runtime", "litert", "--runtime", "onnxruntime"
    assert mnistkit(*arguments, *runtimes, "--save-predictions", first).code == 0
    assert mnistkit(*arguments, "--runtime", "tensorflow", "--save-predictions", second).code == 0
    assert predictions.load(first).record.machine.cores >= 1

    same = json.loads(mnistkit("compare", first, first, *margin, "--json", "-").out)
    assert len(same["artifacts"]) == 7
    for row in same["artifacts"]:
        assert (row["differing_images"], row["parity"]["max_difference"], row["flips"]) == (0, 0, [])
        assert row["same_file"]
        assert row["parity"]["verdict"] == "PASS"

    result = mnistkit("compare", first, second, *margin, "--json", tmp_path / "comparison.json")
    assert result.code == 0
    assert result.out.count("PASS") == 4
    across = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["runtimes"] for row in across["artifacts"]] == [["litert", "tensorflow"]] * 4
    assert across["artifacts"][0]["parity"]["max_difference"] < 1e-5
    assert isinstance(across["artifacts"][3]["max_difference_steps"], int)
    assert {(row["artifact"], row["file"]) for row in across["unmatched"]} == {
        (f"model.{quantization}.onnx", 1) for quantization in ("float32", "dynamic", "int8")
    }


def test_saved_file_loads_unchanged(tmp_path: Path) -> None:
    original = make_predictions(("a", "litert"), ("b", "litert"))
    predictions.save(tmp_path / "p.npz", original)
    loaded = predictions.load(tmp_path / "p.npz")
    assert loaded.record == original.record
    for name in predictions.ARRAYS:
        assert (getattr(loaded, name) == getattr(original, name)).all()


def test_artifacts_are_matched_on_the_same_runtime_or_on_all_runtimes() -> None:
    first = make_predictions(("int8", "litert"), ("int8", "tensorflow"), ("float32", "litert"), ("other", "litert"))
    second = make_predictions(("int8", "litert"), ("float32", "tensorflow"), ("float32", "tflite-runtime"))
    comparison = compare_predictions(first, second, 1)
    assert [(row.artifact, row.runtimes) for row in comparison.artifacts] == [
        ("int8", ("litert", "litert")),
        ("float32", ("litert", "tensorflow")),
        ("float32", ("litert", "tflite-runtime")),
    ]
    assert [(row.artifact, row.runtime, row.file) for row in comparison.unmatched] == [
        ("int8", "tensorflow", 1),
        ("other", "litert", 1),
    ]


def test_reason_why_an_artifact_did_not_run_is_reported(mnistkit: Cli, tmp_path: Path) -> None:
    second = make_predictions(("int8", "litert"))
    crashed = NotRun("int8", "onnxruntime", "onnxruntime died of SIGILL", "try another version", requested=False)
    predictions.save(tmp_path / "first", make_predictions(("int8", "litert"), ("int8", "onnxruntime")))
    predictions.save(tmp_path / "second", replace(second, record=replace(second.record, not_run=(crashed,))))
    result = mnistkit("compare", tmp_path / "first", tmp_path / "second")
    assert result.code == 0
    line = "int8 on onnxruntime: only in the first file: not run in the second: onnxruntime died of SIGILL"
    assert line in result.out
    assert "first: CPU 1, aarch64; second: CPU 1, aarch64" in result.out


def test_float32_artifacts_are_compared_with_the_float32_tolerance() -> None:
    first, second = make_predictions(("a", "litert")), make_predictions(("a", "litert"))
    record = replace(first.record, rows=(replace(first.record.rows[0], quantization="float32"),))
    first = replace(first, record=record)
    second = replace(second, record=record, probabilities=second.probabilities * 0.99)
    assert compare_predictions(first, second, 1).verdict == "FAIL"
    assert compare_predictions(first, first, 1).verdict == "PASS"


def test_invalid_probabilities_fail(tmp_path: Path) -> None:
    valid = make_predictions(("a", "litert"))
    invalid = replace(valid, probabilities=np.full_like(valid.probabilities, np.nan))
    for first, second in ((invalid, valid), (valid, invalid), (invalid, invalid)):
        assert compare_predictions(first, second, 1).verdict == "FAIL"
    huge = replace(valid, probabilities=np.full_like(valid.probabilities, 3e38))
    assert compare_predictions(huge, replace(valid, probabilities=-huge.probabilities), 1).verdict == "FAIL"


def test_first_file_is_the_reference() -> None:
    first = make_predictions(("int8", "litert"), output_scale=1 / 256)
    second = make_predictions(("int8", "litert"), output_scale=1 / 256, regressions=100)
    (row,) = compare_predictions(first, second, 0.2).artifacts
    assert (row.differing_images, row.max_difference_steps) == (100, 256)
    assert (row.parity.regressions, row.parity.fixes, row.parity.verdict) == (100, 0, "FAIL")
    assert [flip.index for flip in row.flips] == list(range(100))
    (row,) = compare_predictions(second, first, 0.2).artifacts
    assert (row.parity.regressions, row.parity.fixes, row.parity.verdict) == (0, 100, "PASS")


def test_difference_in_steps_is_none_unless_both_output_scales_are_equal_and_normal() -> None:
    first = make_predictions(("int8", "litert"), output_scale=1 / 256)
    (row,) = compare_predictions(first, make_predictions(("int8", "litert")), 1).artifacts
    assert row.max_difference_steps is None
    denormal = make_predictions(("int8", "litert"), output_scale=1e-320)
    inverted = replace(denormal, probabilities=1 - denormal.probabilities)
    (row,) = compare_predictions(denormal, inverted, 1).artifacts
    assert row.max_difference_steps is None


def test_only_common_images_are_compared() -> None:
    first, second = make_predictions(("int8", "litert")), make_predictions(("int8", "litert"), regressions=10)
    comparison = compare_predictions(first, select(second, np.array([3, 5, 7, 1000])), 100)
    assert comparison.images == 4
    assert [flip.index for flip in comparison.artifacts[0].flips] == [3, 5, 7]


def test_machines_and_versions_of_both_files_are_reported() -> None:
    first, second = (make_predictions(("a", "litert"), number=number) for number in (1, 2))
    comparison = compare_predictions(first, second, 1)
    assert [machine.cpu for machine in comparison.machines] == ["CPU 1", "CPU 2"]
    assert [versions["python"] for versions in comparison.versions] == ["3.11", "3.12"]


def test_files_without_common_contents_are_rejected() -> None:
    first = make_predictions(("a", "litert"))
    other_test_set = replace(first, record=replace(first.record, test_set_sha256="u"))
    fewer_classes = replace(
        first, reference=first.reference[:, :9], probabilities=first.probabilities[..., :9], labels=first.labels % 9
    )
    other_images = replace(first, indices=first.indices + IMAGES)
    for second, message in (
        (other_test_set, "different test sets"),
        (fewer_classes, "different test sets"),
        (other_images, "no image in common"),
        (make_predictions(("b", "litert")), "no artifact in common"),
        (replace(first, labels=(first.labels + 1) % 10), "different labels"),
    ):
        with pytest.raises(RecordError, match=message):
            compare_predictions(first, second, 1)


def test_exit_code_depends_on_the_verdict(mnistkit: Cli, tmp_path: Path) -> None:
    for name, regressions in (("first", 0), ("same", 0), ("worse", 100), ("undecided", 9)):
        predictions.save(tmp_path / name, make_predictions(("a", "litert"), regressions=regressions))
    codes = {
        name: mnistkit("compare", tmp_path / "first", tmp_path / name).code for name in ("same", "worse", "undecided")
    }
    assert codes == {"same": 0, "worse": 1, "undecided": 3}
    assert mnistkit("compare", tmp_path / "first", tmp_path / "undecided", "--allow-inconclusive").code == 0
    result = mnistkit("compare", tmp_path / "first", tmp_path / "worse", "--show-flips")
    assert result.out.count(" regression ") == 100


def write_invalid(tmp_path: Path, **changes: object) -> Path:
    """A prediction file in which some arrays are replaced."""
    predictions.save(tmp_path / "valid.npz", make_predictions(("a", "litert")))
    arrays = files.read_npz(tmp_path / "valid.npz", ("record", *predictions.ARRAYS))
    files.write_npz(tmp_path / "invalid.npz", arrays | changes)  # type: ignore[arg-type]
    return tmp_path / "invalid.npz"


NOT_FINITE = np.full((IMAGES, 10), np.nan, np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(IMAGES - 1, np.int64)}, "'indices' is int64 [4000], expected int64 [3999]"),
        ({"labels": np.full(IMAGES, 10)}, "'labels' range from 10 to 10, expected 0 to 9"),
        ({"labels": np.zeros((IMAGES, 1), np.int64)}, "is not a valid prediction file: 'labels' has shape [4000, 1]"),
        ({"probabilities": np.zeros((2, IMAGES, 10), np.float32)}, "'probabilities' is float32 [2, 4000, 10]"),
        ({"probabilities": np.zeros((1, IMAGES, 10))}, "'probabilities' is float64"),
        ({"reference": NOT_FINITE}, "'reference' does not contain probabilities"),
        ({"reference": np.zeros(IMAGES, np.float32)}, "'reference' [4000]"),
        ({"indices": np.zeros(IMAGES, np.int64)}, "not in ascending order"),
        ({"indices": -1 - np.arange(IMAGES)[::-1]}, "not in ascending order"),
        ({"record": np.zeros(5, np.uint8)}, "not a predictions record"),
    ],
)
def test_inconsistent_file_is_rejected(mnistkit: Cli, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    result = mnistkit("compare", tmp_path / "valid.npz", write_invalid(tmp_path, **changes))
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_file_of_a_newer_mnistkit_is_rejected(mnistkit: Cli, tmp_path: Path) -> None:
    predictions.save(tmp_path / "valid.npz", make_predictions(("a", "litert")))
    text = files.read_npz(tmp_path / "valid.npz", ("record",))["record"].tobytes()
    newer = np.frombuffer(text.replace(b'"version": 1', b'"version": 2', 1), np.uint8)
    result = mnistkit("compare", tmp_path / "valid.npz", write_invalid(tmp_path, record=newer))
    assert result.code == 2
    assert "newer mnistkit" in result.err


def test_file_without_rows_loads(tmp_path: Path) -> None:
    predictions.save(tmp_path / "empty", make_predictions())
    assert predictions.load(tmp_path / "empty").record.rows == ()


def test_predictions_can_be_saved_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    predictions.save(tmp_path / "pipe", make_predictions(("a", "litert")))
    reader.join()
    assert received[0].startswith(b"PK")
    assert (tmp_path / "pipe").is_fifo()


def test_missing_file_is_an_error(mnistkit: Cli, tmp_path: Path) -> None:
    result = mnistkit("compare", tmp_path / "missing", tmp_path / "missing")
    assert result.code == 2
    assert "cannot read" in result.err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.integers(0, 2**20), st.binary(max_size=8), st.booleans())
def test_truncated_or_overwritten_file_is_rejected_or_loads_unchanged(
    tmp_path: Path, position: int, junk: bytes, truncate: bool
) -> None:
    valid = tmp_path / "valid.npz"
    if not valid.exists():
        predictions.save(valid, select(make_predictions(("a", "litert")), np.arange(50)))
    content = bytearray(valid.read_bytes())
    position %= len(content)
    content[position : None if truncate else position + len(junk)] = junk
    (tmp_path / "corrupt.npz").write_bytes(content)
    try:
        loaded = predictions.load(tmp_path / "corrupt.npz")
    except MnistkitError as error:
        assert "\n" not in str(error)  # noqa: PT017  # not pytest.raises: a changed date in the archive is harmless
    else:
        expected = predictions.load(valid)
        assert loaded.record == expected.record
        assert (loaded.probabilities == expected.probabilities).all()
