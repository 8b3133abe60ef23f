"""`mnistkit verify` on the real MNIST."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from support import FAST, WIDE, Cli, edit_manifest, keep_artifacts, use_perfect_reference

from mnistkit.core import files, records
from mnistkit.core.errors import SessionError, WorkerError
from mnistkit.core.processes import WorkerProcess
from mnistkit.runtimes import RUNTIMES, tflite
from mnistkit.runtimes.isolation import isolation
from mnistkit.verify import predictions
from mnistkit.verify.report import VerifyReport

TFLITE = [f"model.{quantization}.tflite" for quantization in ("float32", "float16", "dynamic", "int8")]
ONNX = [f"model.{quantization}.onnx" for quantization in ("float32", "dynamic", "int8")]


def replace_artifact(bundle: Path, name: str, content: bytes) -> None:
    """Replace an artifact by other content with its metadata, and its checksum in the manifest."""
    original = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content + original[original.index(b'{"schema":"mnistkit.metadata"') :])

    def change(manifest: dict[str, Any]) -> None:
        (artifact,) = (artifact for artifact in manifest["artifacts"] if artifact["file"] == name)
        artifact["sha256"] = files.sha256_of(bundle / name)

    edit_manifest(bundle, change)


def test_all_artifacts_pass_on_all_runtimes(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    result = mnistkit("verify", workspace / "bundle", "--json", tmp_path / "verify.json")
    assert result.code == 0
    assert result.out.count("PASS") == 12
    report = records.read(tmp_path / "verify.json", VerifyReport, "")
    assert [(row.artifact, row.runtime) for row in report.rows] == [
        *((name, "litert") for name in TFLITE),
        *((name, "tensorflow") for name in TFLITE),
        *((name, "onnxruntime") for name in ONNX),
        ("model.int8.c", "c"),
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


def test_accuracy_drop_beyond_the_margin_exits_with_1_and_is_reported(
    mnistkit: Cli, bundle: Path, tmp_path: Path
) -> None:
    use_perfect_reference(bundle)
    result = mnistkit("verify", bundle, *FAST, "--json", tmp_path / "verify.json", "--junit", tmp_path / "junit.xml")
    assert result.code == 1
    assert result.out.count("FAIL") >= 7
    assert "model.int8.onnx on onnxruntime: FAIL: accuracy drop is at least" in result.out
    assert records.read(tmp_path / "verify.json", VerifyReport, "").verdict == "FAIL"
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("7", "7")
    # At a margin of 50 points only the float32 artifacts fail: their probabilities differ from the reference.
    result = mnistkit("verify", bundle, *FAST, "--limit", 500, "--margin", 50)
    assert result.code == 1
    assert result.out.count("PASS") == 5
    assert "a probability differs by" in result.out


def test_too_few_images_exit_with_3_unless_inconclusive_is_allowed(
    mnistkit: Cli, workspace: Path, tmp_path: Path
) -> None:
    arguments = ("verify", workspace / "bundle", *FAST, "--limit", 300, "--junit", tmp_path / "junit.xml", "--force")
    result = mnistkit(*arguments, "--json", tmp_path / "verify.json")
    assert result.code == 3
    assert result.out.count("INCONCLUSIVE") >= 7
    assert "images would decide it" in result.out
    report = records.read(tmp_path / "verify.json", VerifyReport, "")
    assert (report.images, report.seed, report.verdict) == (300, 1, "INCONCLUSIVE")
    assert all(row.parity.images == 300 for row in report.rows)
    assert ET.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "7"
    assert mnistkit(*arguments, "--allow-inconclusive").code == 0
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "7")
    assert mnistkit(*arguments, "--margin", 5).code == 0


def test_sample_depends_on_the_seed(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    def sample(seed: int) -> list[int]:
        arguments = ("--runtime", "litert", "--limit", 100, "--seed", seed, "--save-predictions", tmp_path / "p.npz")
        assert mnistkit("verify", workspace / "bundle", *arguments, "--force").code == 3
        indices: list[int] = predictions.load(tmp_path / "p.npz").indices.tolist()
        return indices

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_limit_beyond_the_test_set_uses_all_images(mnistkit: Cli, workspace: Path) -> None:
    arguments = ("--runtime", "litert", "--limit", 20_000, "--json", "-")
    report = json.loads(mnistkit("verify", workspace / "bundle", *arguments).out)
    assert (report["images"], report["seed"]) == (10_000, None)


def test_flips_are_shown_as_table_and_blocks_and_written_as_png(mnistkit: Cli, bundle: Path, tmp_path: Path) -> None:
    use_perfect_reference(bundle)
    arguments = ("--runtime", "onnxruntime", "--limit", 3000, "--margin", 50)
    result = mnistkit("verify", bundle, *arguments, "--show-flips", "--png", tmp_path / "flips.png")
    report = json.loads(mnistkit("verify", bundle, *arguments, "--json", "-").out)
    flips = [flip for row in report["rows"] for flip in row["flips"]]
    assert sum(line.startswith(" model.") and " regression " in line for line in result.out.splitlines()) == len(flips)
    assert all(f" {flip['index']} " in result.out for flip in flips)
    assert result.out.count("→") == 10
    assert "and " in result.out.splitlines()[-1]
    assert (tmp_path / "flips.png").read_bytes().startswith(b"\x89PNG")


def test_no_flips_are_reported_without_a_png(mnistkit: Cli, bundle: Path, tmp_path: Path) -> None:
    keep_artifacts(bundle, "model.float32.onnx")
    result = mnistkit("verify", bundle, "--limit", 20, "--show-flips", "--png", tmp_path / "flips.png")
    assert result.code == 3
    assert "no regressions or fixes" in result.out
    assert not (tmp_path / "flips.png").exists()


# --- runtimes that fail -----------------------------------------------------------------------------------------

DYING_WORKER = """
import os, runpy, signal
from mnistkit.runtimes import onnx
onnx.open_session = lambda *_: os.kill(os.getpid(), signal.SIG{name})
runpy.run_module("mnistkit.runtimes.worker", run_name="__main__")
"""


def run_workers_as(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Make worker processes run `code` instead of their module."""
    (folder / "python").write_text(f"#!{sys.executable}\n{code}\n")
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize("name", ["ILL", "KILL"])
def test_runtime_crash_is_reported(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run_workers_as(monkeypatch, tmp_path, DYING_WORKER.replace("{name}", name))
    junit = tmp_path / "junit.xml"
    arguments = ("verify", workspace / "bundle", *WIDE, "--junit", junit, "--force")
    result = mnistkit(*arguments)
    assert result.code == 0
    assert result.out.count("PASS") == 5
    (line,) = (line for line in result.out.splitlines() if "not run" in line)
    assert all(artifact in line for artifact in ONNX)
    assert f"onnxruntime died of SIG{name}; try another version" in line
    assert ET.parse(junit).getroot()[0].get("skipped") == "3"
    assert mnistkit(*arguments, "--runtime", "onnxruntime", "--runtime", "litert").code == 1
    assert ET.parse(junit).getroot()[0].get("failures") == "3"


def test_verdict_is_fail_if_no_artifact_runs(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_workers_as(monkeypatch, tmp_path, "import sys; sys.stderr.write('oh dear\\noh no\\n'); raise SystemExit(3)")
    files_written = ("--junit", tmp_path / "junit.xml", "--save-predictions", tmp_path / "none.npz")
    result = mnistkit("verify", workspace / "bundle", *files_written)
    assert result.code == 1
    assert "exited with code 3 (oh no)" in result.out
    assert ET.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "12"
    assert mnistkit("compare", tmp_path / "none.npz", tmp_path / "none.npz").code == 2


def test_runtime_timeout_is_reported(
    mnistkit: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_workers_as(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr("mnistkit.runtimes.isolation.TIMEOUT_SECONDS", 0.2)
    result = mnistkit("verify", workspace / "bundle")
    assert result.code == 1
    assert "did not respond in 0.2 s" in result.out


@pytest.mark.usefixtures("without_tensorflow")
def test_invalid_artifact_is_reported_with_a_remedy(mnistkit: Cli, bundle: Path) -> None:
    replace_artifact(bundle, "model.dynamic.onnx", b"not a model")
    result = mnistkit("verify", bundle, *WIDE, "--json", "-")
    assert result.code == 0
    report = json.loads(result.out)
    assert len(report["rows"]) == 7
    (row,) = report["not_run"]
    assert (row["artifact"], row["runtime"], row["requested"]) == ("model.dynamic.onnx", "onnxruntime", False)
    assert "onnxruntime cannot load the artifact" in row["problem"]
    assert "pip install -U onnxruntime" in row["remedy"]
    assert mnistkit("verify", bundle, "--runtime", "onnxruntime", *WIDE).code == 1


@pytest.mark.skipif(np.__version__ < "2", reason="with numpy 1 tflite-runtime works: make test-tflite-runtime")
def test_tflite_runtime_with_numpy_2_is_rejected_with_a_remedy() -> None:
    with pytest.raises(SessionError, match=r"numpy 2\..* is installed; pip install 'numpy<2'"):
        tflite.import_runtime("tflite_runtime.interpreter")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os, signal; os.close(1); signal.pause()", "closed its output but did not exit"),
        ("import os, signal; os.write(1, b'half a line'); signal.pause()", "did not respond in 0.2 s"),
        ("print('hello')", "sent an invalid message: 'hello'"),
    ],
)
def test_invalid_worker_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str) -> None:
    run_workers_as(monkeypatch, tmp_path, code)
    worker = WorkerProcess("any", "the worker", "try again")
    with pytest.raises(WorkerError, match=f"the worker {message}; try again"):
        worker.receive(0.2 if "0.2" in message else 4)
    worker.close()


def test_two_messages_in_one_read_are_separated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_workers_as(
        monkeypatch, tmp_path, """import os, signal; os.write(1, b'{"n": 1}\\n{"n": 2}\\n'); signal.pause()"""
    )
    worker = WorkerProcess("any", "the worker", "try again")
    assert [worker.receive(30)["n"], worker.receive(30)["n"]] == [1, 2]
    worker.close()


def test_artifact_with_another_number_of_classes_is_an_error(workspace: Path) -> None:
    images = np.zeros((20, 28, 28, 1), np.uint8)
    with isolation(images, classes=2) as isolated, pytest.raises(WorkerError) as caught:
        isolated.predict(RUNTIMES["litert"], workspace / "bundle" / "model.int8.tflite", 1, lambda amount: None)
    assert "returned 200 values for 20 images of 2 classes" in str(caught.value)


# --- options and output -----------------------------------------------------------------------------------------


def test_json_to_standard_output_is_the_only_output(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("verify", workspace / "bundle", *FAST, *WIDE, "--json", "-")
    assert json.loads(result.out)["schema"] == "mnistkit.verify"


def test_runtime_option_selects_a_runtime(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("verify", workspace / "bundle", "--runtime", "litert", *WIDE, "--json", "-")
    assert {row["runtime"] for row in json.loads(result.out)["rows"]} == {"litert"}


def test_margin_or_seconds_out_of_range_is_rejected(mnistkit: Cli, workspace: Path) -> None:
    for arguments in (("verify", "--margin", "nan"), ("verify", "--margin", 0), ("bench", "--seconds", "nan")):
        result = mnistkit(arguments[0], workspace / "bundle", *arguments[1:])
        assert result.code == 2
        assert "is not in the range" in result.err


def test_bundle_without_an_artifact_for_the_runtime_is_rejected(mnistkit: Cli, bundle: Path) -> None:
    keep_artifacts(bundle, *ONNX)
    result = mnistkit("verify", bundle, "--runtime", "litert")
    assert result.code == 2
    assert "no artifact runs on litert" in result.err
    result = mnistkit("verify", bundle, *WIDE)
    assert result.code == 0
    assert result.out.count("PASS") == 3


def test_json_can_be_written_to_a_device(mnistkit: Cli, workspace: Path) -> None:
    assert mnistkit("verify", workspace / "bundle", "--runtime", "litert", *WIDE, "--json", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("option", ["--json", "--junit", "--png", "--save-predictions"])
def test_output_files_are_checked_before_anything_runs(
    mnistkit: Cli, workspace: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    arguments = "verify", workspace / "bundle", *FAST, *WIDE, option
    for path, message in (
        (tmp_path / "file", "already exists; pass --force to replace it"),
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "result", "is not a writable folder"),
    ):
        result = mnistkit(*arguments, path)
        assert (result.code, result.out) == (2, "")
        assert message in result.err


def test_reader_that_closes_standard_output_does_not_change_the_exit_code(workspace: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnistkit", "verify", str(workspace / "bundle"), *FAST, *WIDE]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "v.json")], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert records.read(tmp_path / "v.json", VerifyReport, "").verdict == "PASS"
    closed = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *command], check=False)
    assert closed.returncode == 0
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert b"cannot write to standard output: No space left on device" in done.stderr


def test_output_without_a_terminal_has_no_color_and_no_trailing_spaces(mnistkit: Cli, workspace: Path) -> None:
    result = mnistkit("verify", workspace / "bundle", *FAST, *WIDE)
    assert "\x1b" not in result.out + result.err
    assert all(line == line.rstrip() for line in result.out.splitlines())
