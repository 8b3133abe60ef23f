"""Why a measurement may not be relied on: throttling, a moving clock, other programs, no steady state."""

from __future__ import annotations

from collections.abc import Sequence

from mnistkit.machine import State, throttling
from mnistkit_bench.rounds import FEWEST
from mnistkit_bench.statistics import FEWEST_PROCESSES, FEWEST_ROUNDS, Latency

CLOCK = 0.05  # by which share the clock may move
OTHERS = 0.25  # cores that other programs may use
WIDTH = 0.03  # half of the median's interval, as a share of the median


def of_machine(states: Sequence[State], others: float) -> list[str]:
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
    if clocks and max(clocks) > (1 + CLOCK) * min(clocks):
        reasons.append(f"the clock moved from {min(clocks):,.0f} to {max(clocks):,.0f} MHz (see its governor)")
    if others > OTHERS:
        reasons.append(f"other programs used {others:.1f} cores")
    return reasons


def of_row(latency: Latency, share: float, *, steady: bool) -> list[str]:
    """What is wrong with one measurement, of which this share was undisturbed."""
    reasons = []
    if not steady:
        reasons.append("it did not become steady while it warmed up")
    if share == 0:
        reasons.append(f"something slowed the processor for more than {1 - FEWEST:.0%} of the time")
    interval = latency.p50_interval
    if interval is None:
        reasons.append(f"it takes {FEWEST_PROCESSES} processes and {FEWEST_ROUNDS} rounds to tell how certain it is")
    elif interval.high - interval.low > 2 * WIDTH * latency.p50:
        reasons.append(f"p50 uncertain by more than ±{100 * WIDTH:g}%")
    return reasons
