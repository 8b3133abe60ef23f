"""`mnistkit verify`, on the real digits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from support import Cli

from mnistkit.bundle import EvaluationSet, open_bundle, write_evaluation_set
from mnistkit.core import files, records
from mnistkit.core.errors import WorkerError
from mnistkit.core.processes import WorkerProcess
from mnistkit.verify.report import VerifyReport

FAST = ("--runtime", "litert", "--runtime", "onnxruntime")  # TensorFlow takes seconds to import
TFLITE = [f"model.{quantization}.tflite" for quantization in ("float32", "float16", "dynamic", "int8")]
ONNX = [f"model.{quantization}.onnx" for quantization in ("float32", "dynamic", "int8")]


def spoil_reference(bundle: Path) -> None:
    """Make the original seem perfect, with a manifest that vouches for it: so that all artifacts lose."""
    evaluation = open_bundle(bundle).evaluation_set()
    perfect = np.eye(10, dtype=np.float32)[evaluation.labels]
    _, reference = write_evaluation_set(bundle, EvaluationSet(evaluation.images, evaluation.labels, perfect))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["reference"]["sha256"] = reference.sha256
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def replace_artifact(bundle: Path, name: str, content: bytes) -> None:
    """Put another file in its place, with a manifest that vouches for it."""
    (bundle / name).write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        if artifact["file"] == name:
            artifact["sha256"] = files.sha256(content)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_all_artifacts_pass_on_all_runtimes_and_the_report_says_so(
    mnistkit: Cli, workspace: Path, tmp_path: Path
) -> None:
    outcome = mnistkit("verify", workspace / "bundle", "--json", tmp_path / "verify.json")
    assert outcome.code == 0
    assert outcome.out.count("PASS") == 11
    report = records.read(tmp_path / "verify.json", VerifyReport, "")
    assert [(row.artifact, row.runtime) for row in report.rows] == [
        *((name, "litert") for name in TFLITE),
        *((name, "tensorflow") for name in TFLITE),
        *((name, "onnxruntime") for name in ONNX),
    ]
    for row in report.rows:
        parity = row.parity
        assert parity.images == 10_000
        assert parity.agreement > 0.99
        assert parity.interval.low > -0.2
        assert parity.accuracy == pytest.approx(report.original_accuracy + parity.difference / 100)
        assert len(row.flips) == parity.regressions + parity.fixes
        if "float32" in row.artifact:
            assert (parity.agreement, parity.regressions, parity.fixes) == (1, 0, 0)
            assert parity.max_difference < 1e-5
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")
    assert (report.images, report.seed, report.not_run) == (10_000, None, ())
    assert report.machine.cores >= 1


def test_a_loss_beyond_the_margin_exits_1_and_is_still_recorded(mnistkit: Cli, bundle: Path, tmp_path: Path) -> None:
    spoil_reference(bundle)
    outcome = mnistkit("verify", bundle, *FAST, "--json", tmp_path / "verify.json", "--junit", tmp_path / "junit.xml")
    assert outcome.code == 1
    assert outcome.out.count("FAIL") >= 7
    assert "model.int8.onnx on onnxruntime: FAIL: it loses" in outcome.out
    assert records.read(tmp_path / "verify.json", VerifyReport, "").verdict == "FAIL"
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("7", "7")
    # 50 points are enough for any, but a float32 artifact must moreover answer as the original does
    outcome = mnistkit("verify", bundle, *FAST, "--margin", 50)
    assert outcome.code == 1
    assert outcome.out.count("PASS") == 5
    assert "a probability differs by" in outcome.out


def test_too_few_images_to_tell_exit_3_unless_that_is_allowed(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    arguments = ("verify", workspace / "bundle", *FAST, "--limit", 300, "--junit", tmp_path / "junit.xml")
    outcome = mnistkit(*arguments, "--json", tmp_path / "verify.json")
    assert outcome.code == 3
    assert outcome.out.count("INCONCLUSIVE") >= 7
    assert "images would settle it" in outcome.out
    report = records.read(tmp_path / "verify.json", VerifyReport, "")
    assert (report.images, report.seed, report.verdict) == (300, 1, "INCONCLUSIVE")
    assert all(row.parity.images == 300 for row in report.rows)
    assert ET.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "7"
    assert mnistkit(*arguments, "--allow-inconclusive").code == 0
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "7")
    assert mnistkit(*arguments, "--margin", 5).code == 0


def test_a_sample_is_that_of_its_seed(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    from mnistkit.verify import predictions

    def sample(seed: int) -> list[int]:
        arguments = ("--runtime", "litert", "--limit", 100, "--seed", seed, "--save", tmp_path / "p.npz")
        assert mnistkit("verify", workspace / "bundle", *arguments).code == 3
        found: list[int] = predictions.load(tmp_path / "p.npz").indices.tolist()
        return found

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_a_limit_beyond_all_images_asks_all(mnistkit: Cli, workspace: Path) -> None:
    arguments = ("--runtime", "litert", "--limit", 20_000, "--json", "-")
    report = json.loads(mnistkit("verify", workspace / "bundle", *arguments).out)
    assert (report["images"], report["seed"]) == (10_000, None)


def test_flips_are_shown_as_a_table_as_blocks_and_as_a_picture(mnistkit: Cli, bundle: Path, tmp_path: Path) -> None:
    spoil_reference(bundle)
    outcome = mnistkit(
        "verify", bundle, "--runtime", "onnxruntime", "--show-flips", "--png", tmp_path / "flips.png", "--margin", 50
    )
    report = json.loads(mnistkit("verify", bundle, "--runtime", "onnxruntime", "--json", "-").out)
    flips = [flip for row in report["rows"] for flip in row["flips"]]
    assert sum(line.startswith(" model.") and " broken " in line for line in outcome.out.splitlines()) == len(flips)
    assert all(f" {flip['index']} " in outcome.out for flip in flips)
    assert outcome.out.count("→") == 10
    assert "and " in outcome.out.splitlines()[-1]
    assert (tmp_path / "flips.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_flipped_makes_no_picture_and_no_fuss(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    arguments = ("--runtime", "litert", "--limit", 20, "--show-flips", "--png", tmp_path / "flips.png")
    outcome = mnistkit("verify", workspace / "bundle", *arguments)
    assert outcome.code == 3
    assert "no image was broken or mended" in outcome.out
    assert not (tmp_path / "flips.png").exists()


# --- runtimes that fail -----------------------------------------------------------------------------------------

DYING_WORKER = """
import os, runpy, signal
from mnistkit.runtimes import onnx
onnx.open_session = lambda *_: os.kill(os.getpid(), signal.SIG{name})
runpy.run_module("mnistkit.runtimes.worker", run_name="__main__")
"""


def run_workers_as(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Children run this, in place of the module that they are started for."""
    (folder / "python").write_text(f"#!{sys.executable}\n{code}\n")
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


@pytest.mark.parametrize("name", ["ILL", "SEGV", "KILL"])
def test_a_runtime_that_dies_is_a_line_in_the_report(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run_workers_as(monkeypatch, tmp_path, DYING_WORKER.replace("{name}", name))
    junit = tmp_path / "junit.xml"
    arguments = ("verify", workspace / "bundle", "--margin", 1, "--limit", 1000, "--junit", junit)
    outcome = mnistkit(*arguments)
    assert outcome.code == 0
    assert outcome.out.count("PASS") == 8
    (line,) = (line for line in outcome.out.splitlines() if "not run" in line)
    assert all(artifact in line for artifact in ONNX)
    assert f"onnxruntime died of SIG{name}; try another version" in line
    assert ET.parse(junit).getroot()[0].get("skipped") == "3"
    assert mnistkit(*arguments, "--runtime", "onnxruntime", "--runtime", "litert").code == 1
    assert ET.parse(junit).getroot()[0].get("failures") == "3"


def test_where_nothing_runs_nothing_passes(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_workers_as(monkeypatch, tmp_path, "import sys; sys.stderr.write('oh dear\\noh no\\n'); raise SystemExit(3)")
    outcome = mnistkit(
        "verify", workspace / "bundle", "--junit", tmp_path / "junit.xml", "--save", tmp_path / "none.npz"
    )
    assert outcome.code == 1
    assert "stopped with exit code 3 (oh no)" in outcome.out
    assert ET.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "11"
    assert mnistkit("compare", tmp_path / "none.npz", tmp_path / "none.npz").code == 2


def test_a_runtime_that_hangs_is_given_up(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_workers_as(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr("mnistkit.runtimes.isolation.TIMEOUT_SECONDS", 0.2)
    outcome = mnistkit("verify", workspace / "bundle")
    assert outcome.code == 1
    assert "gave no answer in 0.2 s" in outcome.out


def test_an_artifact_that_a_runtime_cant_load_is_told_with_the_remedy(mnistkit: Cli, bundle: Path) -> None:
    replace_artifact(bundle, "model.dynamic.onnx", b"no network")
    outcome = mnistkit("verify", bundle, "--json", "-")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert len(report["rows"]) == 10
    (row,) = report["not_run"]
    assert (row["artifact"], row["runtime"], row["asked"]) == ("model.dynamic.onnx", "onnxruntime", False)
    assert "onnxruntime can't load it" in row["problem"]
    assert "pip install -U onnxruntime" in row["remedy"]
    assert mnistkit("verify", bundle, "--runtime", "onnxruntime").code == 1


@pytest.mark.skipif(np.__version__ < "2", reason="with numpy 1 tflite-runtime works: make test-tflite-runtime")
def test_tflite_runtime_beside_numpy_2_is_told_what_to_do() -> None:
    from mnistkit.core.errors import SessionError
    from mnistkit.runtimes import tflite

    with pytest.raises(SessionError, match=r"numpy 2\..* is here; pip install 'numpy<2'"):
        tflite.import_runtime("tflite_runtime.interpreter")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os, signal; os.close(1); signal.pause()", "closed its output and went on"),
        ("import os, signal; os.write(1, b'half a line'); signal.pause()", "gave no answer in 0.2 s"),
        ("print('hello')", "answered 'hello'"),
    ],
)
def test_a_child_that_misbehaves_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    run_workers_as(monkeypatch, tmp_path, code)
    child = WorkerProcess("any", "it", "help it")
    with pytest.raises(WorkerError, match=f"it {message}; help it"):
        child.receive(0.2 if "0.2" in message else 4)
    child.close()


def test_two_answers_that_come_at_once_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_workers_as(
        monkeypatch, tmp_path, """import os, signal; os.write(1, b'{"n": 1}\\n{"n": 2}\\n'); signal.pause()"""
    )
    child = WorkerProcess("any", "it", "help it")
    assert [child.receive(30)["n"], child.receive(30)["n"]] == [1, 2]
    child.close()


def test_an_artifact_with_other_classes_is_told(mnistkit: Cli, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["provenance"]["labels"] = ["a", "b"]
    for artifact in manifest["artifacts"]:
        artifact["output"]["shape"][1] = 2
    evaluation = open_bundle(bundle).evaluation_set()
    narrow = EvaluationSet(evaluation.images, evaluation.labels % 2, evaluation.reference[:, :2].copy())
    for key, file in zip(("test_set", "reference"), write_evaluation_set(bundle, narrow), strict=True):
        manifest[key]["sha256"] = file.sha256
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    outcome = mnistkit("verify", bundle, "--runtime", "litert")
    assert outcome.code == 1
    assert "gave 100,000 values for 10,000 images of 2 classes" in outcome.out


# --- the rest ---------------------------------------------------------------------------------------------------


def test_json_on_standard_output_is_nothing_but_json(mnistkit: Cli, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", *FAST, "--json", "-")
    assert json.loads(outcome.out)["schema"] == "mnistkit.verify"


def test_a_runtime_can_be_chosen(mnistkit: Cli, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", "-")
    assert {row["runtime"] for row in json.loads(outcome.out)["rows"]} == {"litert"}


def test_a_margin_or_time_that_is_no_number_is_refused(mnistkit: Cli, workspace: Path) -> None:
    for arguments in (("verify", "--margin", "nan"), ("verify", "--margin", 0), ("bench", "--seconds", "nan")):
        outcome = mnistkit(arguments[0], workspace / "bundle", *arguments[1:])
        assert outcome.code == 2
        assert "is not in the range" in outcome.err


def test_a_bundle_with_nothing_for_the_runtime_does_not_pass(mnistkit: Cli, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    kept = [artifact for artifact in manifest["artifacts"] if artifact["format"] == "onnx"]
    for path in bundle.glob("*.tflite"):
        path.unlink()
    manifest["artifacts"] = kept
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    outcome = mnistkit("verify", bundle, "--runtime", "litert")
    assert outcome.code == 2
    assert "no artifact runs on litert" in outcome.err
    outcome = mnistkit("verify", bundle)
    assert outcome.code == 0
    assert outcome.out.count("PASS") == 3


def test_a_report_can_go_to_a_device(mnistkit: Cli, workspace: Path) -> None:
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", "--json", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_an_unwritable_report_is_an_error_after_the_table(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = mnistkit("verify", workspace / "bundle", *FAST, "--json", tmp_path / "file" / "verify.json")
    assert outcome.code == 2
    assert outcome.out.count("PASS") == 7
    assert "cannot write" in outcome.err.splitlines()[-1]


def test_no_colour_and_no_trailing_space_where_there_is_no_terminal(mnistkit: Cli, workspace: Path) -> None:
    outcome = mnistkit("verify", workspace / "bundle", *FAST)
    assert "\x1b" not in outcome.out + outcome.err
    assert all(line == line.rstrip() for line in outcome.out.splitlines())
