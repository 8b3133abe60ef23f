"""Skips tests that need a compiler, an emulator or a header that this machine lacks."""

import os
import shutil

import pytest

import c_programs


def need(available: object, what: str) -> None:
    """Skip the test if something is not installed; fail in CI, where everything is."""
    if not available:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is not installed")


def need_program(*names: str) -> None:
    """Skip the test if a program is not installed."""
    for name in names:
        need(shutil.which(name), name)


def need_compiler(name: str, program: str = "gcc") -> None:
    """Skip the test if nothing compiles for an instruction set."""
    need_program(c_programs.compiler(name, program)[0])
    if header := c_programs.INSTRUCTION_SETS[name].header:
        need(header.exists(), f"{header} (libsimde-dev)")


def need_instruction_set(name: str, program: str = "gcc") -> None:
    """Skip the test if this machine does not compile for an instruction set, or does not run it."""
    if missing := c_programs.missing_features(name):
        pytest.skip(f"this CPU has no {', '.join(missing)}")
    need_compiler(name, program)
    need_program(*c_programs.emulator(name)[:1])
