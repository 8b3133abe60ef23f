"""`mnistkit doctor`: real runtimes in real processes, and simulated machines and boards."""

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
IDLE = MachineState(2400, 50, 0.1, 0)
PI = WheelPlatform("3.13", "aarch64", "2.41")


def test_installed_runtimes_load(mnistkit: Cli, tmp_path: Path) -> None:
    result = mnistkit("doctor", "--json", tmp_path / "doctor.json")
    report = json.loads((tmp_path / "doctor.json").read_text())
    loaded = {row["runtime"] for row in report["runtimes"] if row["loads"]}
    assert loaded == {runtime.name for runtime in RUNTIMES.values() if runtime.installed()} >= {"litert", "onnxruntime"}
    assert report["machine"]["cpu"] in result.out
    assert result.code == 0
    assert mnistkit("doctor", "--json", tmp_path / "doctor.json").code == 2


@pytest.mark.usefixtures("without_tensorflow")
def test_no_color_variable_disables_color(mnistkit: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in mnistkit("doctor").out


FAILING_WORKER = """
import os, signal
from mnistkit.runtimes import onnx, worker
onnx.import_runtime = lambda module: {fault}
worker.main()
"""


@pytest.mark.usefixtures("without_tensorflow")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGILL)", "died of SIGILL"),
        ("__import__('no_such_module')", "No module named 'no_such_module'"),
    ],
)
def test_runtime_that_does_not_load_is_a_problem(
    mnistkit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{FAILING_WORKER.format(fault=fault)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    result = mnistkit("doctor")
    assert result.code == 1
    assert "✓ litert" in result.out
    assert "✗ onnxruntime" in result.out
    assert reason in result.out
    assert "no working runtime for .onnx artifacts" in result.out


@pytest.mark.usefixtures("without_tensorflow")
def test_numpy_2_with_tflite_runtime_is_reported_with_its_remedy(
    mnistkit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").touch()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("Interpreter = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    result = mnistkit("doctor")
    assert result.code == 1
    assert "tflite-runtime requires numpy 1, but numpy 2" in result.out
    assert "    pip install 'numpy<2'" in result.out


# --- wheels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "platform", "reason"),
    [
        ("onnxruntime", replace(PI, architecture="armv7l"), "no wheel for armv7l"),
        ("tflite-runtime", PI, "no wheel for Python 3.13, only for 3.11"),
        ("ai-edge-litert", replace(PI, python="3.9"), "no wheel for Python 3.9, only for 3.11, 3.12"),
        ("ai-edge-litert", replace(PI, glibc=""), "no wheel for a C library other than glibc"),
        ("onnxruntime", replace(PI, glibc="2.9"), "no wheel for glibc 2.9, only for 2.28 and later"),
    ],
)
def test_missing_wheel_is_explained(distribution: str, platform: WheelPlatform, reason: str) -> None:
    assert wheels.find(distribution, platform) is None
    assert reason in wheels.explain_missing(distribution, platform)


def test_supported_boards_have_wheels() -> None:
    for platform in (PI, WheelPlatform("3.11", "aarch64", "2.36")):
        assert wheels.find("ai-edge-litert", platform)
        assert wheels.find("onnxruntime", platform)
    assert wheels.find("tflite-runtime", WheelPlatform("3.11", "armv7l", "2.36"))


def test_wheels_fit_this_platform() -> None:
    assert wheels.find("onnxruntime", wheels.this_platform())


# --- findings on simulated boards --------------------------------------------------------------------------------

LITERT = RuntimeStatus("litert", "tflite", "2.3.0", True, "2.3.0", "", "")
ONNX = RuntimeStatus("onnxruntime", "onnx", "1.31.1", True, "1.31.1", "", "")
FAILING = replace(ONNX, loads=False, reason="died of SIGBUS", remedy="another version")
NOT_INSTALLED = RuntimeStatus("onnxruntime", "onnx", "", False, "1.31.1", "", "pip install 'mnistkit[device]'")
NO_WHEEL = RuntimeStatus("onnxruntime", "onnx", "", False, "", "no wheel for armv7l", "")


def run_checks(
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine = BOARD,
    state: MachineState = IDLE,
    *statuses: RuntimeStatus,
    platform: WheelPlatform = PI,
) -> DoctorReport:
    by_name = {status.runtime: status for status in statuses or (LITERT, ONNX)}
    monkeypatch.setattr(doctor, "this_machine", lambda: machine)
    monkeypatch.setattr(doctor, "read_state", lambda: state)
    monkeypatch.setattr(wheels, "this_platform", lambda: platform)
    monkeypatch.setattr(doctor, "RUNTIMES", {name: RUNTIMES[name] for name in by_name})
    monkeypatch.setattr(doctor, "_runtime_status", lambda runtime, *_: by_name[runtime.name])
    return doctor.run_checks()


def test_board_without_faults_has_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_checks(monkeypatch)
    assert (report.findings, report.has_problem) == ((), False)


ARMV7L = WheelPlatform("3.11", "armv7l", "2.36")


@pytest.mark.parametrize(
    ("machine", "state", "platform", "severity", "message", "remedy"),
    [
        (replace(BOARD, bits=32), IDLE, ARMV7L, "warning", "userland is 32-bit", "64-bit Raspberry Pi OS"),
        (BOARD, IDLE, replace(PI, glibc=""), "problem", "the C library is not glibc", "Debian"),
        (replace(BOARD, emulated=True), IDLE, PI, "warning", "is emulated", "on the device"),
        (replace(BOARD, governors=("ondemand",)), IDLE, PI, "warning", "governor is ondemand", "echo performance"),
        (BOARD, replace(IDLE, throttled=0x1), PI, "problem", "is throttled: under-voltage", "power supply"),
        (BOARD, replace(IDLE, throttled=0x40004), PI, "problem", "is throttled: throttled", "cool the board"),
        (BOARD, replace(IDLE, throttled=0x10000), PI, "warning", "since boot: under-voltage", "power supply"),
        (BOARD, replace(IDLE, load=9.0), PI, "warning", "the load is 9 on 4 cores", "stop"),
    ],
)
def test_faults_of_a_machine_are_found(
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine,
    state: MachineState,
    platform: WheelPlatform,
    severity: str,
    message: str,
    remedy: str,
) -> None:
    report = run_checks(monkeypatch, machine, state, platform=platform)
    (finding,) = report.findings
    assert (finding.severity, report.has_problem) == (severity, severity == "problem")
    assert message in finding.message
    assert remedy in finding.remedy


def test_large_pages_are_reported_if_a_runtime_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    large_pages = replace(BOARD, page_size=16384)
    assert run_checks(monkeypatch, large_pages).findings == ()
    findings = run_checks(monkeypatch, large_pages, IDLE, LITERT, FAILING).findings
    assert [finding.severity for finding in findings] == ["problem", "warning", "warning"]
    assert "memory pages have 16,384 bytes" in findings[1].message
    assert "kernel8.img" in findings[1].remedy


def test_missing_runtime_is_reported_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = run_checks(monkeypatch, BOARD, IDLE, LITERT, NOT_INSTALLED).findings
    assert (finding.severity, finding.remedy) == ("warning", "pip install 'mnistkit[device]'")
    (finding,) = run_checks(monkeypatch, BOARD, IDLE, LITERT, NO_WHEEL).findings
    assert finding.remedy == "use another Python or system: onnxruntime has no wheel for armv7l"


def test_board_without_any_runtime_has_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    litert = replace(NOT_INSTALLED, runtime="litert", format="tflite")
    assert run_checks(monkeypatch, BOARD, IDLE, litert, NOT_INSTALLED).has_problem
