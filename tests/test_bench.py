"""`mnistkit bench`: real workers, real artifacts; what it says, not how fast it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Run

from mnistkit import files, records
from mnistkit.bundle import open_bundle
from mnistkit.errors import WorkerError
from mnistkit_bench import runner, statistics
from mnistkit_bench.results import BenchReport


def test_every_artifact_is_measured(mnistkit: Run, workspace: Path, tmp_path: Path) -> None:
    outcome = mnistkit("bench", workspace / "bundle", "--seconds", 0.2, "--json", tmp_path / "bench.json")
    assert outcome.code == 0
    report = records.read(tmp_path / "bench.json", BenchReport, "")
    assert report.bundle_sha256 == files.sha256_of(workspace / "bundle" / "manifest.json")
    assert len(report.measurements) == 7
    for row in report.measurements:
        assert row.artifact in outcome.out
        assert row.bytes == (workspace / "bundle" / row.artifact).stat().st_size
        latency = row.latency
        assert 0 < latency.minimum <= latency.p50 <= latency.p90 <= latency.p99
        assert latency.samples >= 2
        assert min(row.import_ms, row.load_ms, row.first_ms) > 0
    assert report.machine.cores >= 1


def test_a_runtime_can_be_chosen(mnistkit: Run, workspace: Path) -> None:
    arguments = ("bench", workspace / "bundle", "--runtime", "onnxruntime", "--seconds", 0.1, "--json", "-")
    rows = json.loads(mnistkit(*arguments).out)["measurements"]
    assert [row["artifact"] for row in rows] == ["model.float32.onnx", "model.dynamic.onnx", "model.int8.onnx"]


def test_no_worker_imports_tensorflow(workspace: Path) -> None:
    import subprocess

    opened = open_bundle(workspace / "bundle")
    code = "import sys\nfrom mnistkit_bench import worker\nworker.main()\nassert 'tensorflow' not in sys.modules\n"
    for artifact, name in zip(opened.manifest.artifacts[3:5], ("litert", "onnxruntime"), strict=True):
        job = {"artifact": str(opened.file(artifact)), "runtime": name, "threads": 1}
        job["test_set"] = str(opened.path / "testset.npz")
        request = {"seconds": 0}
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=f"{json.dumps(job)}\n{json.dumps(request)}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(json.loads(done.stdout.splitlines()[1])["nanoseconds"]) == 1


BROKEN_WORKERS = {
    "dies": ("import os; os.kill(os.getpid(), 11)", "died of SIGSEGV"),
    "stops": ("raise SystemExit(3)", "stopped with exit code 3"),
    "hangs": ("import signal; signal.pause()", "gave no answer in 1 s"),
    "babbles": ("print('hello')", "answered 'hello'"),
    "fails": ("""print('{"error": "no such operator"}')""", "failed: no such operator"),
}


@pytest.mark.parametrize(("code", "message"), BROKEN_WORKERS.values(), ids=BROKEN_WORKERS.keys())
def test_a_broken_worker_is_an_error_that_names_it(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{code}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(runner, "PATIENCE_SECONDS", 1)
    with pytest.raises(WorkerError, match=f"model.float32.tflite on litert {message}"):
        runner.bench(open_bundle(workspace / "bundle"), (), 1)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200))
def test_figures_are_numpys(times: list[int]) -> None:
    latency = statistics.summarise(times)
    for figure, quantile in ((latency.minimum, 0), (latency.p50, 50), (latency.p90, 90), (latency.p99, 99)):
        assert figure == pytest.approx(np.percentile(times, quantile) / 1000, abs=1e-3, rel=1e-9)
    assert latency.samples == len(times)
