"""The record that `bench` writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mnistkit.core import records
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine, MachineState

MEASURE_AGAIN = "measure again with 'mnistkit bench'"


@dataclass(frozen=True)
class Latency:
    """Of one inference, in microseconds. A percentile that the samples can't support is None."""

    samples: int
    p50: float
    p50_interval: Interval | None  # 95%; None: there were too few rounds
    p90: float | None
    p99: float | None
    p999: float | None
    mean: float
    deviation: float  # standard
    minimum: float
    maximum: float
    per_second: float


@dataclass(frozen=True)
class RawSamples:
    """Every time that was measured: base64 of zlib streams of little-endian 64-bit integers."""

    processes: tuple[int, ...]  # how many rounds each has
    rounds: tuple[int, ...]  # how many batches each has
    batches: str  # how many times each has
    probes: str
    nanoseconds: str


@dataclass(frozen=True)
class Measurement:
    """One artifact on one runtime, batch 1."""

    artifact: str
    runtime: str
    threads: int
    bytes: int  # of the artifact
    package_bytes: int  # of the runtime's package, as it is installed
    import_ms: float  # the runtime's import, numpy being there; this and the next two: the median of the processes
    load_ms: float  # opening the artifact
    first_ms: float  # the first inference
    resident_bytes: int  # of the process, Python and numpy included
    peak_bytes: int
    warm_up_seconds: float
    accepted_fraction: float  # share of the times that nothing slowed: `latency` and `end_to_end` are of those
    latency: Latency  # of the runtime's call alone
    end_to_end: Latency  # from raw bytes to a label
    unstable: tuple[str, ...]  # reasons not to rely on it
    raw: RawSamples

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return named(self.artifact, self.runtime, self.threads)


@dataclass(frozen=True)
class Failure:
    """An artifact that could not be measured."""

    artifact: str
    runtime: str
    threads: int
    problem: str
    remedy: str
    skipped: bool  # its runtime isn't installed

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return named(self.artifact, self.runtime, self.threads)


Change = Literal["faster", "slower", "no measurable difference", "too few rounds"]


@dataclass(frozen=True)
class MeasurementComparison:
    """One artifact on one runtime, then and now."""

    artifact: str
    runtime: str
    threads: int
    old: float  # p50, microseconds
    new: float
    ratio: float  # new / old
    interval: Interval | None  # of the ratio, 95%
    change: Change


@dataclass(frozen=True)
class BenchComparison:
    """What became faster and slower since an earlier record."""

    fail_over: float  # share by which a row may be slower
    baseline_unstable: bool
    rows: tuple[MeasurementComparison, ...]
    missing: tuple[str, ...]  # what was measured then and is not now

    @property
    def failed(self) -> bool:
        """Whether a row is slower by more than that with its whole interval, or nothing could be compared."""
        undecided = not self.rows or any(row.change == "too few rounds" for row in self.rows)
        return undecided or any(row.interval and row.interval.low > 1 + self.fail_over for row in self.rows)


@dataclass(frozen=True)
class BenchReport(records.Record):
    """What `bench` measured, on what."""

    schema: ClassVar[str] = "bench"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    machine: Machine
    states: tuple[MachineState, ...]  # before, during, after
    unstable: tuple[str, ...]  # reasons not to rely on any of it
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...]
    versions: dict[str, str]
    comparison: BenchComparison | None = None

    @property
    def is_unstable(self) -> bool:
        """Whether there is any reason not to rely on it."""
        return bool(self.unstable) or any(row.unstable for row in self.measurements)

    def without_raw_samples(self) -> BenchReport:
        """A copy without the raw samples, which take about a megabyte."""
        rows = tuple(replace(row, raw=RawSamples((), (), "", "", "")) for row in self.measurements)
        return replace(self, measurements=rows)


def named(artifact: str, runtime: str, threads: int) -> str:
    """What a row is called in a message."""
    return f"{artifact} on {runtime}" + (f", {threads} threads" if threads > 1 else "")
