"""What machine a result was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The host of a measurement."""

    cpu: str
    cores: int
    architecture: str
    kernel: str


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cpu=_board_model() or _cpu_model() or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        architecture=platform.machine(),
        kernel=f"{platform.system()} {platform.release()}",
    )


def _board_model() -> str:
    """The board's name, where it has a device tree: a Raspberry Pi says its model there."""
    try:
        return Path("/proc/device-tree/model").read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
