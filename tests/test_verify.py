"""`mnistkit verify`, on the real digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import Run

from mnistkit import files, records
from mnistkit.bundle import open_bundle
from mnistkit.verification import VerifyReport


def spoil_reference(bundle: Path) -> None:
    """Make the original seem perfect, with a manifest that vouches for it: so that all artifacts lose."""
    evaluation = open_bundle(bundle).evaluation_set()
    files.write_npz(bundle / "reference.npz", {"probabilities": np.eye(10, dtype=np.float32)[evaluation.labels]})
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["reference"]["sha256"] = files.sha256_of(bundle / "reference.npz")
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_all_artifacts_pass_and_the_report_says_so(mnistkit: Run, workspace: Path, tmp_path: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", "--json", tmp_path / "verify.json")
    assert outcome.code == 0
    assert outcome.out.count("PASS") == 7
    report = records.read(tmp_path / "verify.json", VerifyReport, "")
    assert [(row.artifact, row.runtime) for row in report.rows] == [
        ("model.float32.tflite", "litert"),
        ("model.float16.tflite", "litert"),
        ("model.dynamic.tflite", "litert"),
        ("model.int8.tflite", "litert"),
        ("model.float32.onnx", "onnxruntime"),
        ("model.dynamic.onnx", "onnxruntime"),
        ("model.int8.onnx", "onnxruntime"),
    ]
    for row in report.rows:
        assert row.parity.images == 10_000
        assert row.parity.agreement > 0.99
        assert abs(row.parity.difference) <= 0.2
        assert row.parity.accuracy == pytest.approx(report.original_accuracy + row.parity.difference / 100)
    assert report.rows[0].parity.agreement == 1
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")


def test_a_loss_beyond_the_margin_exits_1_and_is_still_recorded(mnistkit: Run, bundle: Path, tmp_path: Path) -> None:
    spoil_reference(bundle)
    outcome = mnistkit("verify", bundle, "--json", tmp_path / "verify.json")
    assert outcome.code == 1
    assert outcome.out.count("FAIL") == 7
    assert "model.int8.onnx on onnxruntime: it loses" in outcome.out
    assert records.read(tmp_path / "verify.json", VerifyReport, "").verdict == "FAIL"
    assert mnistkit("verify", bundle, "--margin", 50).code == 0


def test_json_on_standard_output_is_nothing_but_json(mnistkit: Run, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", "--json", "-")
    assert json.loads(outcome.out)["schema"] == "mnistkit.verify"


def test_a_runtime_can_be_chosen(mnistkit: Run, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", "-")
    assert {row["runtime"] for row in json.loads(outcome.out)["rows"]} == {"litert"}


def test_a_margin_or_time_that_is_no_number_is_refused(mnistkit: Run, workspace: Path) -> None:
    for arguments in (("verify", "--margin"), ("bench", "--seconds")):
        outcome = mnistkit(arguments[0], workspace / "bundle", arguments[1], "nan")
        assert outcome.code == 2
        assert "nan is not in the range" in outcome.err


def test_a_bundle_with_nothing_for_the_runtime_does_not_pass(mnistkit: Run, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    kept = [artifact for artifact in manifest["artifacts"] if artifact["format"] == "onnx"]
    for path in bundle.glob("*.tflite"):
        path.unlink()
    manifest["artifacts"] = kept
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    outcome = mnistkit("verify", bundle, "--runtime", "litert")
    assert outcome.code == 2
    assert "no artifact runs on litert" in outcome.err
    assert mnistkit("verify", bundle).code == 0


def test_a_report_can_go_to_a_device(mnistkit: Run, workspace: Path) -> None:
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_an_unwritable_report_is_an_error_after_the_table(mnistkit: Run, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = mnistkit("verify", workspace / "bundle", "--json", tmp_path / "file" / "verify.json")
    assert outcome.code == 2
    assert outcome.out.count("PASS") == 7
    assert "cannot write" in outcome.err.splitlines()[-1]


def test_no_colour_and_no_trailing_space_where_there_is_no_terminal(mnistkit: Run, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle")
    assert "\x1b" not in outcome.out + outcome.err
    assert all(line == line.rstrip() for line in outcome.out.splitlines())
