"""`mnistkit wheelhouse`: real wheels, through whatever index pip has."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support import Cli

from mnistkit.cli.commands import wheelhouse as command
from mnistkit.core.errors import WheelError
from mnistkit.device import wheelhouse
from mnistkit.device.wheelhouse import TARGETS


def test_the_command_knows_every_target_and_python() -> None:
    assert tuple(TARGETS) == command.TARGETS
    assert tuple(wheelhouse.GLIBC) == command.PYTHONS


def test_what_a_board_needs_stands_in_mnistkits_own_metadata() -> None:
    together, alone = wheelhouse.requirements(TARGETS["pi5"])
    packages = [requirement.partition(">")[0].partition("<")[0] for requirement in together]
    assert (packages, alone) == (["click", "numpy", "rich", "ai-edge-litert", "onnxruntime"], [])
    together, alone = wheelhouse.requirements(TARGETS["pi-32bit"])
    assert (len(together), alone) == (2, ["tflite-runtime>=2.14"])


def test_wheels_are_fetched_for_the_board_and_not_for_this_machine(mnistkit: Cli, tmp_path: Path) -> None:
    outcome = mnistkit("wheelhouse", "--target", "pi-32bit", "--out", tmp_path / "wheels")
    assert outcome.code == 0
    names = sorted(path.name for path in (tmp_path / "wheels").iterdir())
    packages = [name.partition("-")[0] for name in names]
    assert {"click", "rich", "pygments", "tflite_runtime"} < set(packages)
    assert "numpy" not in packages
    assert names[-1].endswith("_armv7l.whl")
    assert all(name in outcome.out for name in names)
    assert "sudo apt install python3-numpy" in outcome.out
    assert mnistkit("wheelhouse", "--target", "pi-32bit", "--out", tmp_path / "wheels").code == 0
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == names


def test_a_python_without_wheels_is_refused(mnistkit: Cli, tmp_path: Path) -> None:
    outcome = mnistkit("wheelhouse", "--target", "pi-32bit", "--python", "3.13", "--out", tmp_path / "wheels")
    assert outcome.code == 2
    assert "no runtime has a wheel for armv7l and Python 3.13; choose Python 3.11" in outcome.err
    assert not (tmp_path / "wheels").exists()


def test_what_pip_does_not_find_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WheelError, match=r"pip finds no wheels for aarch64 and Python 3.13: ERROR"):
        wheelhouse.fetch(TARGETS["pi5"], ("3.13",), tmp_path)


def test_without_pip_that_is_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    with pytest.raises(WheelError, match="pip, which fetches wheels, is not installed"):
        wheelhouse.fetch(TARGETS["pi5"], ("3.13",), tmp_path)
