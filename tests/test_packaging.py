"""What is built and installed: the wheel, and the environments that it must work in."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from support import BRIEFLY, ROOT

from mnistkit import __version__
from mnistkit.cli import main


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path) -> Path:
    """A fresh environment; its folder of programs."""
    if uv := shutil.which("uv"):
        run(uv, "venv", "-q", "--python", sys.executable, folder)
    else:
        venv.create(folder, with_pip=True)
    return folder / "bin"


def install(programs: Path, *arguments: object) -> None:
    """Install into that environment."""
    python = programs / "python"
    uv = shutil.which("uv")
    run(*((uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")), "-q", *arguments)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    roots = ("toolkit", "export", "benchmarks/mnistkit_bench")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *roots, cwd=ROOT).splitlines()
    expected = {name.split("/", 1)[1] for name in tracked if (ROOT / name).exists()}
    info = f"mnistkit-{__version__}.dist-info"
    expected |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected


def test_help_of_every_command_needs_click_alone(wheel: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "env")
    install(programs, "click")
    install(programs, "--no-deps", wheel)
    for command in (*main.COMMANDS, "data fetch", "data show"):
        assert f"Usage: mnistkit {command}" in run(programs / "mnistkit", *command.split(), "--help")
    assert "data" in run(programs / "python", "-m", "mnistkit", "--help")
    told = subprocess.run([programs / "mnistkit", "doctor"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (1, "")
    assert "nothing here runs .tflite artifacts\n    pip install 'mnistkit[device]'" in told.stdout


def test_the_device_extra_verifies_and_benches_without_tensorflow(wheel: Path, workspace: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "env")
    install(programs, f"mnistkit[device] @ {wheel.as_uri()}")
    packages = {path.name.partition("-")[0] for path in (tmp_path / "env").glob("lib/*/site-packages/*.dist-info")}
    assert "ai_edge_litert" in packages
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx", "matplotlib"}
    assert run(programs / "mnistkit", "verify", workspace / "bundle").count("PASS") == 7
    rows = json.loads(run(programs / "mnistkit", "bench", workspace / "bundle", *BRIEFLY, "--json", "-"))
    assert [row["runtime"] for row in rows["measurements"]] == ["litert"] * 4 + ["onnxruntime"] * 3


preflight = runpy.run_path(str(ROOT / "tools/preflight.py"))["problem"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64"])
@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_preflight_lets_pass_what_can_be_set_up(version: tuple[int, int], machine: str) -> None:
    assert preflight(version, machine) is None


@pytest.mark.parametrize(
    ("version", "machine", "parts"),
    [
        (
            (3, 14),
            "x86_64",
            ["no wheel for Python after 3.13", "Python 3.14", "PYTHON=python3.13", "pip install .[device]"],
        ),
        ((3, 10), "x86_64", ["needs Python 3.11 or later", "Python 3.10"]),
        ((2, 7), "x86_64", ["needs Python 3.11 or later", "Python 2.7"]),
        ((3, 11, 32), "aarch64", ["no wheel for 32-bit Python", "64-bit", "pip install .[device]"]),
        ((3, 11), "armv7l", ["no wheel for armv7l", "64-bit", "pip install .[device]"]),
    ],
)
def test_preflight_says_why_not_and_what_to_do(version: tuple[int, ...], machine: str, parts: list[str]) -> None:
    message = preflight(version[:2], machine, *version[2:])
    assert all(part in message for part in parts)


def test_the_python_range_is_the_packages_own() -> None:
    import tomllib

    from mnistkit.core import python_versions

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*python_versions.OLDEST)
