"""`mnistkit doctor`: real runtimes in real processes; machines that can't be had here are made up."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import Cli

from mnistkit.device import doctor, wheels
from mnistkit.device.doctor import DoctorReport, RuntimeStatus
from mnistkit.device.machine import Machine, MachineState
from mnistkit.device.wheels import WheelPlatform
from mnistkit.runtimes import RUNTIMES

BOARD = Machine(
    "Raspberry Pi 5 Model B Rev 1.0", 4, "aarch64", "Linux 6.12", governors=("performance",), page_size=4096
)
CALM = MachineState(2400, 50, 0.1, 0)
PI = WheelPlatform("3.13", "aarch64", "2.41")


def test_the_runtimes_of_this_environment_load(mnistkit: Cli, tmp_path: Path) -> None:
    outcome = mnistkit("doctor", "--json", tmp_path / "doctor.json")
    report = json.loads((tmp_path / "doctor.json").read_text())
    loaded = {row["runtime"] for row in report["runtimes"] if row["loads"]}
    assert loaded == {runtime.name for runtime in RUNTIMES.values() if runtime.installed()} >= {"litert", "onnxruntime"}
    assert report["machine"]["cpu"] in outcome.out
    assert outcome.code == 0
    assert mnistkit("doctor", "--json", tmp_path / "doctor.json").code == 2


def test_without_colour_where_none_is_wanted(mnistkit: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in mnistkit("doctor").out


CHILD = """
import os, signal
from mnistkit.runtimes import onnx, worker
onnx.import_runtime = lambda module: {spoil}
worker.main()
"""


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGILL)", "died of SIGILL"),
        ("__import__('no_such_module')", "No module named 'no_such_module'"),
    ],
)
def test_a_runtime_that_does_not_load_is_a_problem_and_no_more(
    mnistkit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, reason: str
) -> None:
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{CHILD.replace('{spoil}', spoil)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    outcome = mnistkit("doctor")
    assert outcome.code == 1
    assert "✓ litert" in outcome.out
    assert "✗ onnxruntime" in outcome.out
    assert reason in outcome.out
    assert "nothing here runs .onnx artifacts" in outcome.out


def test_numpy_2_beside_tflite_runtime_is_told_with_what_mends_it(
    mnistkit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").touch()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("Interpreter = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    outcome = mnistkit("doctor")
    assert outcome.code == 1
    assert "was built for numpy 1" in outcome.out
    assert "    pip install 'numpy<2'" in outcome.out


# --- wheels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "place", "reason"),
    [
        ("onnxruntime", replace(PI, architecture="armv7l"), "no wheel for armv7l"),
        ("tflite-runtime", PI, "no wheel for Python 3.13, only for 3.11"),
        ("ai-edge-litert", replace(PI, python="3.9"), "no wheel for Python 3.9, only for 3.11, 3.12"),
        ("ai-edge-litert", replace(PI, glibc=""), "not glibc"),
        ("onnxruntime", replace(PI, glibc="2.9"), "needs glibc 2.28, and this is 2.9"),
    ],
)
def test_why_there_is_no_wheel(distribution: str, place: WheelPlatform, reason: str) -> None:
    assert wheels.find(distribution, place) is None
    assert reason in wheels.explain_missing(distribution, place)


def test_a_board_has_wheels() -> None:
    for place in (PI, WheelPlatform("3.11", "aarch64", "2.36")):
        assert wheels.find("ai-edge-litert", place)
        assert wheels.find("onnxruntime", place)
    assert wheels.find("tflite-runtime", WheelPlatform("3.11", "armv7l", "2.36"))


def test_this_environment_is_where_its_own_wheels_fit() -> None:
    assert wheels.find("onnxruntime", wheels.this_platform())


# --- what a board may lack --------------------------------------------------------------------------------------

LOADS = RuntimeStatus("litert", "tflite", "2.3.0", True, "2.3.0", "", "")
ONNX = RuntimeStatus("onnxruntime", "onnx", "1.31.1", True, "1.31.1", "", "")
BROKEN = replace(ONNX, loads=False, reason="died of SIGBUS", remedy="another version")
ABSENT = RuntimeStatus("onnxruntime", "onnx", "", False, "1.31.1", "", "pip install 'mnistkit[device]'")
NONE = RuntimeStatus("onnxruntime", "onnx", "", False, "", "no wheel for armv7l", "")


def examined(
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine = BOARD,
    now: MachineState = CALM,
    *checked: RuntimeStatus,
    place: WheelPlatform = PI,
) -> DoctorReport:
    by_name = {found.runtime: found for found in checked or (LOADS, ONNX)}
    monkeypatch.setattr(doctor, "this_machine", lambda: machine)
    monkeypatch.setattr(doctor, "read_state", lambda: now)
    monkeypatch.setattr(wheels, "this_platform", lambda: place)
    monkeypatch.setattr(doctor, "RUNTIMES", {name: RUNTIMES[name] for name in by_name})
    monkeypatch.setattr(doctor, "_runtime_status", lambda runtime, *_: by_name[runtime.name])
    return doctor.run_checks()


def test_a_board_that_lacks_nothing_has_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    report = examined(monkeypatch)
    assert (report.findings, report.has_problem) == ((), False)


ARMV7L = WheelPlatform("3.11", "armv7l", "2.36")


@pytest.mark.parametrize(
    ("machine", "now", "place", "severity", "what", "remedy"),
    [
        (replace(BOARD, bits=32), CALM, ARMV7L, "warning", "32-bit userland", "64-bit Raspberry Pi OS"),
        (BOARD, CALM, replace(PI, glibc=""), "problem", "which is not glibc", "Debian"),
        (replace(BOARD, emulated=True), CALM, PI, "warning", "is emulated", "on the device"),
        (replace(BOARD, governors=("ondemand",)), CALM, PI, "warning", "governor is ondemand", "echo performance"),
        (BOARD, replace(CALM, throttled=0x1), PI, "problem", "held back: under-voltage", "power supply"),
        (BOARD, replace(CALM, throttled=0x40004), PI, "problem", "held back: throttled", "cool the board"),
        (BOARD, replace(CALM, throttled=0x10000), PI, "warning", "since it was started: under-voltage", "power supply"),
        (BOARD, replace(CALM, load=9.0), PI, "warning", "the load is 9 on 4 cores", "stop"),
    ],
)
def test_what_is_not_as_it_should_be_is_found(
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine,
    now: MachineState,
    place: WheelPlatform,
    severity: str,
    what: str,
    remedy: str,
) -> None:
    report = examined(monkeypatch, machine, now, place=place)
    (found,) = report.findings
    assert (found.severity, report.has_problem) == (severity, severity == "problem")
    assert what in found.what
    assert remedy in found.remedy


def test_large_pages_are_named_where_a_runtime_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    large = replace(BOARD, page_size=16384)
    assert examined(monkeypatch, large).findings == ()
    findings = examined(monkeypatch, large, CALM, LOADS, BROKEN).findings
    assert [found.severity for found in findings] == ["problem", "warning", "warning"]
    assert "pages have 16,384 bytes" in findings[1].what
    assert "kernel8.img" in findings[1].remedy


def test_a_missing_runtime_is_told_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = examined(monkeypatch, BOARD, CALM, LOADS, ABSENT).findings
    assert (found.severity, found.remedy) == ("warning", "pip install 'mnistkit[device]'")
    (found,) = examined(monkeypatch, BOARD, CALM, LOADS, NONE).findings
    assert found.remedy == "another Python or system: onnxruntime has no wheel for armv7l"


def test_nothing_that_runs_at_all_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = replace(ABSENT, runtime="litert", format="tflite")
    assert examined(monkeypatch, BOARD, CALM, lacking, ABSENT).has_problem
