"""Confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

Z = 1.959963984540054  # standard normal quantile of a two-sided 95% interval


@dataclass(frozen=True)
class Interval:
    """A confidence interval from `low` to `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise ValueError if the ends are in the wrong order."""
        if self.low > self.high:
            raise ValueError(f"an interval from {self.low:g} to {self.high:g} is empty")

    @property
    def half_width(self) -> float:
        """Half of the distance of the ends."""
        return (self.high - self.low) / 2

    def overlaps(self, other: Interval) -> bool:
        """Whether the intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high
