"""The wheel, the environments that it is installed into, and the Python versions that it supports."""

import json
import runpy
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from support import BRIEFLY, ROOT

import docs
from mnistkit import __version__
from mnistkit.core import python_versions


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command, require that it succeeds, and return its output."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def install(folder: Path, *requirements: object) -> Path:
    """Install into the virtual environment in `folder`, created if necessary, and return its folder of programs."""
    if not folder.exists():
        venv.create(folder)  # without pip, which takes seconds: this Python's pip installs into it
    run(sys.executable, "-m", "pip", "--python", folder, "install", "-q", "--no-compile", *requirements)
    return folder / "bin"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_has_exactly_the_three_packages(wheel: Path) -> None:
    roots = ("toolkit", "export", "benchmarks/mnistkit_bench")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *roots, cwd=ROOT).splitlines()
    expected = {name.split("/", 1)[1] for name in tracked if (ROOT / name).exists()}
    info = f"mnistkit-{__version__}.dist-info"
    expected |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected


def test_help_and_doctor_need_only_click(wheel: Path, tmp_path: Path) -> None:
    install(tmp_path / "env", "click")
    programs = install(tmp_path / "env", "--no-deps", wheel)
    packages = {path.name.partition("-")[0] for path in (tmp_path / "env").glob("lib/*/site-packages/*.dist-info")}
    assert packages == {"click", "mnistkit"}
    for command in docs.commands():
        assert f"Usage: mnistkit {command} [OPTIONS]" in run(programs / "mnistkit", *command.split(), "--help")
    assert "data" in run(programs / "python", "-m", "mnistkit", "--help")
    doctor = subprocess.run([programs / "mnistkit", "doctor"], capture_output=True, text=True, check=False)
    assert (doctor.returncode, doctor.stderr) == (1, "")
    assert "no working runtime for .tflite artifacts\n    pip install 'mnistkit[device]'" in doctor.stdout


def test_device_extra_verifies_and_benches_without_tensorflow(wheel: Path, workspace: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "env", f"mnistkit[device] @ {wheel.as_uri()}")
    packages = {path.name.partition("-")[0] for path in (tmp_path / "env").glob("lib/*/site-packages/*.dist-info")}
    assert "ai_edge_litert" in packages
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib"}
    assert run(programs / "mnistkit", "verify", workspace / "bundle").count("PASS") == 8
    report = json.loads(run(programs / "mnistkit", "bench", workspace / "bundle", *BRIEFLY, "--json", "-"))
    assert [row["runtime"] for row in report["measurements"]] == ["litert"] * 4 + ["onnxruntime"] * 3 + ["c"]


preflight_problem = runpy.run_path(str(ROOT / "tools/preflight.py"))["problem"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64"])
@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_preflight_accepts_supported_machine(version: tuple[int, int], machine: str) -> None:
    assert preflight_problem(version, machine) is None


@pytest.mark.parametrize(
    ("version", "machine", "parts"),
    [
        (
            (3, 14),
            "x86_64",
            ["no wheel for Python later than 3.13", "Python 3.14", "PYTHON=python3.13", "pip install .[device]"],
        ),
        ((3, 10), "x86_64", ["needs Python 3.11 or later", "Python 3.10"]),
        ((2, 7), "x86_64", ["needs Python 3.11 or later", "Python 2.7"]),
        ((3, 11, 32), "aarch64", ["no wheel for 32-bit Python", "64-bit", "pip install .[device]"]),
        ((3, 11), "armv7l", ["no wheel for armv7l", "64-bit", "pip install .[device]"]),
    ],
)
def test_preflight_reports_problem_and_fix(version: tuple[int, ...], machine: str, parts: list[str]) -> None:
    message = preflight_problem(version[:2], machine, *version[2:])
    assert all(part in message for part in parts)


def test_oldest_python_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*python_versions.OLDEST)
