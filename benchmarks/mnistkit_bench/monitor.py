"""The state and the background load of the machine during measurements."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnistkit.device.machine import MachineState, read_state
from mnistkit_bench.jobs import Worker

INTERVAL_SECONDS = 1.0


class SystemMonitor:
    """The machine's state at intervals, and the CPU time that other processes used during measurements."""

    def __init__(self) -> None:
        self.states: list[MachineState] = [read_state()]
        self._state_time = time.monotonic()
        self._seconds = self._background_cpu_seconds = 0.0
        self._is_background_known = True  # not if a worker failed before it reported its CPU time

    @property
    def background_load(self) -> float:
        """The mean number of cores that other processes used during measurements; 0 if unknown."""
        if not self._is_background_known or not self._seconds:
            return 0.0
        return max(0.0, self._background_cpu_seconds / self._seconds)

    def record_state(self, *, force: bool = False) -> None:
        """Record the machine's state if the interval has passed or `force` is set."""
        if force or time.monotonic() > self._state_time + INTERVAL_SECONDS:
            self.states.append(read_state())
            self._state_time = time.monotonic()

    @contextlib.contextmanager
    def measure_background(self, workers: Sequence[Worker]) -> Iterator[None]:
        """Measure the background load while the block runs."""
        started, busy, own = time.monotonic(), _busy_seconds(), _own_cpu_seconds(workers)
        yield
        self._seconds += time.monotonic() - started
        self._background_cpu_seconds += (_busy_seconds() - busy) - (_own_cpu_seconds(workers) - own)
        if not busy or any(worker.failure for worker in workers):
            self._is_background_known = False


def _own_cpu_seconds(workers: Sequence[Worker]) -> float:
    """The CPU time of the workers and of this process so far."""
    return time.process_time() + sum(worker.usage.cpu_seconds for worker in workers)


def _busy_seconds() -> float:
    """The CPU time of all processes on all cores since the machine was started; 0 if unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        ticks = [int(field) for field in fields]
    except (OSError, ValueError):
        return 0.0
    # user, nice, system, irq and softirq; without idle, iowait and the time stolen by a hypervisor
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")
