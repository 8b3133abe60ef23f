"""Why a measurement may not be relied on: throttling, a moving clock, other programs, no steady state."""

from __future__ import annotations

from collections.abc import Sequence

from mnistkit.bench_report import Latency
from mnistkit.device.machine import MachineState, throttling
from mnistkit_bench.samples import MIN_ACCEPTED_FRACTION
from mnistkit_bench.statistics import MIN_PROCESSES, MIN_ROUNDS

MAX_CLOCK_CHANGE = 0.05  # by which share the clock may move
MAX_BACKGROUND_LOAD = 0.25  # cores that other programs may use
MAX_HALF_WIDTH = 0.03  # half of the median's interval, as a share of the median


def machine_warnings(states: Sequence[MachineState], background_load: float) -> list[str]:
    """What is wrong with all that was measured meanwhile.

    `others` are the cores that other programs used.
    """
    reasons = []
    seen = [found.throttled or 0 for found in states]
    now = {reason for bits in seen for reason in throttling(bits)[0]}
    now |= set(throttling(seen[-1])[1]) - set(throttling(seen[0])[1])  # between two looks
    if now:
        reasons.append(f"the board was held back: {', '.join(sorted(now))}")
    clocks = [found.mhz for found in states if found.mhz]
    if clocks and max(clocks) > (1 + MAX_CLOCK_CHANGE) * min(clocks):
        reasons.append(f"the clock moved from {min(clocks):,.0f} to {max(clocks):,.0f} MHz (see its governor)")
    if background_load > MAX_BACKGROUND_LOAD:
        reasons.append(f"other programs used {background_load:.1f} cores")
    return reasons


def measurement_warnings(latency: Latency, share: float, *, steady: bool) -> list[str]:
    """What is wrong with one measurement, of which this share was undisturbed."""
    reasons = []
    if not steady:
        reasons.append("it did not become steady while it warmed up")
    if share == 0:
        reasons.append(f"something slowed the processor for more than {1 - MIN_ACCEPTED_FRACTION:.0%} of the time")
    interval = latency.p50_interval
    if interval is None:
        reasons.append(f"it takes {MIN_PROCESSES} processes and {MIN_ROUNDS} rounds to tell how certain it is")
    elif interval.high - interval.low > 2 * MAX_HALF_WIDTH * latency.p50:
        reasons.append(f"p50 uncertain by more than ±{100 * MAX_HALF_WIDTH:g}%")
    return reasons
