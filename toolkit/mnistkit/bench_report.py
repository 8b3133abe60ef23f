"""The record that `bench` writes."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from mnistkit.bundle import ArtifactOnRuntime
from mnistkit.core import records
from mnistkit.core.interval import Interval
from mnistkit.device.machine import Machine, MachineState

MEASURE_AGAIN = "measure again with 'mnistkit bench'"


@dataclass(frozen=True)
class Latency:
    """The latency of one inference, in microseconds. A percentile is None if it has too few samples."""

    samples: records.Count
    p50: records.NonNegative
    p50_interval: Interval | None  # 95% CI; None with too few processes or rounds
    p90: records.NonNegative | None
    p99: records.NonNegative | None
    p999: records.NonNegative | None
    mean: records.NonNegative
    std: records.NonNegative
    minimum: records.NonNegative
    maximum: records.NonNegative
    inferences_per_second: records.NonNegative


@dataclass(frozen=True)
class RawSamples:
    """All samples. Each text is a base64-encoded zlib stream of little-endian int64."""

    processes: tuple[int, ...]  # number of rounds in each process
    rounds: tuple[int, ...]  # number of batches in each round
    batches: str  # number of samples in each batch
    probes: str  # nanoseconds of the interference probes, before the first batch of each round and after each batch
    nanoseconds: str  # latency of each inference


@dataclass(frozen=True)
class Configuration(ArtifactOnRuntime):
    """An artifact on a runtime with a number of threads."""

    threads: records.Count

    @property
    def name(self) -> str:
        """The name in messages."""
        return super().name + (f", {self.threads} threads" if self.threads > 1 else "")


@dataclass(frozen=True)
class Measurement(Configuration):
    """The measurement of an artifact on a runtime at batch size 1."""

    bytes: records.Count  # size of the artifact
    package_bytes: records.Count  # installed size of the runtime's package
    import_ms: records.NonNegative  # of the runtime, without numpy; median over the processes, as are the next two
    load_ms: records.NonNegative  # loading of the artifact
    first_inference_ms: records.NonNegative
    rss_bytes: records.Count  # resident memory of the process, including Python and numpy; maximum over the processes
    peak_rss_bytes: records.Count
    warm_up_seconds: records.NonNegative  # median over the processes
    accepted_fraction: records.Share  # share of the samples that are accepted; 0 if all samples were used
    latency: Latency  # of the runtime's invoke call alone
    end_to_end: Latency  # from raw pixels to a label
    unstable: tuple[str, ...]  # reasons why this measurement may be unstable
    raw: RawSamples


@dataclass(frozen=True)
class Failure(Configuration):
    """An artifact that was not measured on a runtime."""

    problem: str
    remedy: str
    skipped: bool  # the runtime is not installed


Change = Literal["faster", "slower", "no measurable difference", "too few rounds"]


@dataclass(frozen=True)
class MeasurementComparison(Configuration):
    """The latency of an artifact on a runtime, compared with the baseline."""

    baseline_p50: records.NonNegative  # microseconds
    current_p50: records.NonNegative  # microseconds
    ratio: records.NonNegative  # current p50 / baseline p50
    interval: Interval | None  # 95% CI of the ratio; None with too few processes or rounds
    change: Change


@dataclass(frozen=True)
class BenchComparison:
    """A report compared with the baseline, an earlier report."""

    fail_over: records.NonNegative  # slowdown that counts as a regression, as a fraction
    baseline_unstable: bool
    measurements: tuple[MeasurementComparison, ...]
    missing: tuple[str, ...]  # names of the measurements that only the baseline has

    @property
    def failed(self) -> bool:
        """Whether a measurement regressed or could not be judged, or none could be compared."""
        undecided = not self.measurements or any(row.change == "too few rounds" for row in self.measurements)
        return undecided or any(row.interval and row.interval.low > 1 + self.fail_over for row in self.measurements)


@dataclass(frozen=True)
class BenchReport(records.Record, schema="bench", version=1):
    """The measurements of a bundle on a machine."""

    bundle_sha256: str  # of the bundle's manifest, which holds the hashes of all other files
    machine: Machine
    states: tuple[MachineState, ...]  # before, during and after the measurements
    unstable: tuple[str, ...]  # reasons why all measurements may be unstable
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...]
    versions: dict[str, str]
    comparison: BenchComparison | None = None  # None without a baseline

    @property
    def is_unstable(self) -> bool:
        """Whether any measurement may be unstable."""
        return bool(self.unstable) or any(row.unstable for row in self.measurements)

    def without_raw_samples(self) -> Self:
        """A copy without the raw samples, which take about a megabyte."""
        rows = tuple(replace(row, raw=RawSamples((), (), "", "", "")) for row in self.measurements)
        return replace(self, measurements=rows)
