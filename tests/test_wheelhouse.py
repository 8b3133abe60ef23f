"""`mnistkit wheelhouse`: real wheels, from the index that pip is configured with."""

import importlib.util
from pathlib import Path

import pytest
from support import Cli

from mnistkit.cli.commands import wheelhouse as command
from mnistkit.core.errors import WheelError
from mnistkit.device import wheelhouse
from mnistkit.device.wheelhouse import TARGETS


def test_command_has_every_target_and_python() -> None:
    assert tuple(TARGETS) == command.TARGETS
    assert tuple(wheelhouse.GLIBC) == command.PYTHONS


def test_requirements_come_from_the_metadata_of_mnistkit() -> None:
    with_dependencies, alone = wheelhouse.requirements(TARGETS["pi5"])
    packages = [requirement.partition(">")[0].partition("<")[0] for requirement in with_dependencies]
    assert (packages, alone) == (["click", "numpy", "platformdirs", "rich", "ai-edge-litert", "onnxruntime"], [])
    with_dependencies, alone = wheelhouse.requirements(TARGETS["pi-32bit"])
    assert (len(with_dependencies), alone) == (3, ["tflite-runtime>=2.14"])


def test_wheels_are_downloaded_for_the_board(mnistkit: Cli, tmp_path: Path) -> None:
    result = mnistkit("wheelhouse", "--target", "pi-32bit", "--out", tmp_path / "wheels")
    assert result.code == 0
    names = sorted(path.name for path in (tmp_path / "wheels").iterdir())
    packages = [name.partition("-")[0] for name in names]
    assert {"click", "platformdirs", "rich", "pygments", "tflite_runtime"} < set(packages)
    assert "numpy" not in packages
    assert names[-1].endswith("_armv7l.whl")
    assert all(name in result.out for name in names)
    assert "sudo apt install python3-numpy" in result.out
    assert mnistkit("wheelhouse", "--target", "pi-32bit", "--out", tmp_path / "wheels").code == 0
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == names


def test_python_without_wheels_is_rejected(mnistkit: Cli, tmp_path: Path) -> None:
    result = mnistkit("wheelhouse", "--target", "pi-32bit", "--python", "3.13", "--out", tmp_path / "wheels")
    assert result.code == 2
    assert "no runtime has a wheel for armv7l and Python 3.13; choose Python 3.11" in result.err
    assert not (tmp_path / "wheels").exists()


def test_missing_wheel_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WheelError, match=r"no wheels found for aarch64 and Python 3.13: ERROR"):
        wheelhouse.fetch(TARGETS["pi5"], ("3.13",), tmp_path)


def test_missing_pip_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(WheelError, match="pip is not installed"):
        wheelhouse.fetch(TARGETS["pi5"], ("3.13",), tmp_path)
