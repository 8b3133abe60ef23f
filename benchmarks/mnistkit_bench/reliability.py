"""Reasons why a measurement may be unstable, each with what to do about it."""

from collections.abc import Sequence

from mnistkit.bench_report import IdleLatency
from mnistkit.device.machine import MachineState, throttling
from mnistkit_bench.statistics import MIN_PROCESSES, MIN_ROUNDS

MAX_CLOCK_CHANGE = 0.05  # between the lowest and the highest clock, as a fraction
MAX_BACKGROUND_LOAD = 0.25  # cores
MAX_HALF_WIDTH = 0.03  # of the 95% CI of the p50, as a fraction of the p50


def machine_warnings(states: Sequence[MachineState], background_load: float) -> list[str]:
    """Reasons why all measurements may be unstable.

    `states` are the machine's states from before the measurements to after them; `background_load` is in cores.
    """
    reasons = []
    if causes := _throttling_causes(states):
        reasons.append(f"the board was throttled: {', '.join(causes)} (check its cooling and power supply)")
    clocks = [state.mhz for state in states if state.mhz]
    if clocks and max(clocks) > (1 + MAX_CLOCK_CHANGE) * min(clocks):
        change = f"from {min(clocks):,.0f} to {max(clocks):,.0f} MHz"
        reasons.append(f"the clock changed {change} (set the performance governor)")
    if background_load > MAX_BACKGROUND_LOAD:
        reasons.append(f"background load: {background_load:.1f} cores (stop other programs)")
    return reasons


def _throttling_causes(states: Sequence[MachineState]) -> list[str]:
    """The causes seen in any state, and those that the firmware registered between the first state and the last."""
    bits = [state.throttled or 0 for state in states]
    seen = {cause for value in bits for cause in throttling(value)[0]}
    registered = set(throttling(bits[-1])[1]) - set(throttling(bits[0])[1])
    return sorted(seen | registered)


def measurement_warnings(latency: IdleLatency, *, is_steady: bool) -> list[str]:
    """Reasons why one measurement may be unstable; `is_steady`: whether its warm-up reached a steady state."""
    reasons = []
    if not is_steady:
        reasons.append("the warm-up reached no steady state (stop other programs)")
    if latency.share == 0:
        reasons.append("other load slowed or interrupted all samples (stop other programs)")
    interval = latency.p50_interval
    if interval is None:
        minimum = f"idle samples in {MIN_PROCESSES} processes and {MIN_ROUNDS} rounds"
        reasons.append(f"a confidence interval needs {minimum} (raise --processes or --seconds)")
    elif interval.high - interval.low > 2 * MAX_HALF_WIDTH * latency.p50:
        reasons.append(f"p50 uncertain by more than ±{100 * MAX_HALF_WIDTH:g}% (raise --seconds)")
    return reasons
