"""Confidence intervals."""

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
