"""The machine, looked at while it measures."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnistkit.device.machine import MachineState, read_state
from mnistkit_bench.jobs import Worker

SECONDS = 1.0  # between two looks


class SystemMonitor:
    """How the machine was, and what other programs used of it."""

    def __init__(self) -> None:
        self.states: list[MachineState] = [read_state()]
        self._looked = time.monotonic()
        self._others = self._seconds = 0.0
        self._untold = False  # what a worker used that failed, nobody knows

    @property
    def background_load(self) -> float:
        """Cores that other programs used, of what was watched; 0 where nothing tells."""
        return 0.0 if self._untold or not self._seconds else max(0.0, self._others / self._seconds)

    def look(self, *, now: bool = False) -> None:
        """See how the machine is, if it's time or `now`."""
        if now or time.monotonic() > self._looked + SECONDS:
            self.states.append(read_state())
            self._looked = time.monotonic()

    @contextlib.contextmanager
    def over(self, workers: Sequence[Worker]) -> Iterator[None]:
        """While they measure."""
        busy, own, started = _busy_seconds(), _own_seconds(workers), time.monotonic()
        yield
        self._seconds += time.monotonic() - started
        self._others += (_busy_seconds() - busy) - (_own_seconds(workers) - own)
        self._untold |= not busy or any(worker.failure for worker in workers)


def _own_seconds(workers: Sequence[Worker]) -> float:
    """What the workers and this process have worked so far."""
    return time.process_time() + sum(worker.usage.cpu for worker in workers)


def _busy_seconds() -> float:
    """Seconds that all cores together have worked for this system since it was started; 0 where nothing tells."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        ticks: list[int] = list(map(int, fields))
    except (OSError, ValueError):
        return 0.0
    # user, nice and system, irq and softirq; not idle and iowait, nor what a hypervisor stole
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")
