"""Samples of `make stress`: mutated files, killed exports, random networks, and networks with unusual operators."""

import json
import re
from pathlib import Path

import pytest
from support import FAST, UNTRAINED, Cli

import networks
import stress
from mnistkit.bundle import open_bundle
from mnistkit.cli import main
from mnistkit.training import keras_models


@pytest.fixture(scope="session")
def small_bundle(workspace: Path, few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the CNN with few test images."""
    bundle = tmp_path_factory.mktemp("small") / "bundle"
    options = "--data", str(few_digits), "--out", str(bundle), "--quantize", "float32", "--quantize", "int8"
    assert main.run(["export", str(workspace / "model.keras"), *options]) == 0
    return bundle


def test_changed_bundles_are_refused(small_bundle: Path) -> None:
    assert stress.mutated_bundles(small_bundle, 100).failures == ()


def test_changed_bundles_with_corrected_checksums_never_fail_internally(small_bundle: Path) -> None:
    assert stress.resealed_bundles(small_bundle, 12).failures == ()


def test_impossible_numbers_in_records_are_refused(mnistkit: Cli, small_bundle: Path, tmp_path: Path) -> None:
    records = tmp_path / "verify.json", tmp_path / "bench.json"
    assert mnistkit("verify", small_bundle, *FAST, "--margin", 5, "--json", records[0]).code == 0
    brief = "--seconds", 0.1, "--processes", 1
    assert mnistkit("bench", small_bundle, *FAST, *brief, "--json", records[1]).code == 0
    assert stress.mutated_records(*records, 300).failures == ()


def test_killed_exports_leave_a_whole_bundle_and_nothing_else(workspace: Path, few_digits: Path) -> None:
    assert stress.killed_exports(workspace / "model.keras", few_digits, 2).failures == ()


@pytest.mark.parametrize("name", ["grouped", "attention", "upsampling"])
def test_network_with_unusual_operators_keeps_its_predictions(
    mnistkit: Cli, few_digits: Path, tmp_path: Path, name: str
) -> None:
    keras_models.import_keras().utils.set_random_seed(5)
    keras_models.save(networks.build(networks.find(name)), tmp_path / "model.keras")
    paths = "--data", few_digits, "--out", tmp_path / "b"
    quantizations = "--quantize", "float32", "--quantize", "int8"
    result = mnistkit("export", tmp_path / "model.keras", *paths, *quantizations, *UNTRAINED)
    assert result.code == 0, result.err
    rows = json.loads(mnistkit("verify", tmp_path / "b", *FAST, "--margin", 100, "--json", "-").out)["rows"]
    assert len(rows) == 4
    assert {row["parity"]["agreement"] for row in rows if "float32" in row["artifact"]} == {1}
    assert mnistkit("diagnose", tmp_path / "b", "--images", 5).code == 0


def test_recurrent_layer_is_named_and_other_artifacts_are_kept(mnistkit: Cli, few_digits: Path, tmp_path: Path) -> None:
    keras_models.save(networks.build(networks.find("recurrent")), tmp_path / "model.keras")
    paths = "--data", few_digits, "--out", tmp_path / "b"
    result = mnistkit("export", tmp_path / "model.keras", *paths, "--quantize", "int8", *UNTRAINED)
    assert result.code == 1
    assert re.search(
        r"model.int8.tflite, model.int8.c: layer lstm\w* \(LSTM\) cannot be quantized to int8 in tflite", result.out
    )
    assert [artifact.file for artifact in open_bundle(tmp_path / "b").manifest.artifacts] == ["model.int8.onnx"]


def test_float32_tolerance_follows_from_the_logits(few_digits: Path) -> None:
    assert stress.random_logits(few_digits, 2).failures == ()


def test_planted_error_in_the_last_kernel_is_found(few_digits: Path) -> None:
    assert stress.planted_errors(few_digits, 1).failures == ()
