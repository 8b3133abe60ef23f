"""The record that `bench` writes."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from mnistkit.bundle import ArtifactOnRuntime
from mnistkit.core import records
from mnistkit.core.interval import Interval
from mnistkit.core.verdict import Verdict
from mnistkit.device.machine import Machine, MachineState

MEASURE_AGAIN = "measure again with 'mnistkit bench'"


@dataclass(frozen=True)
class Percentile:
    """A percentile and its 95% CI; None with too few processes or rounds."""

    value: records.NonNegative
    interval: Interval | None


@dataclass(frozen=True)
class IdleLatency:
    """How fast one inference is when nothing interferes, in microseconds: of the idle samples.

    Idle samples are those of batches that no other load slowed or interrupted. If there are none, all samples are used.
    """

    samples: records.Count
    share: records.Share  # of all samples; 0 if none is idle
    p50: records.NonNegative
    p50_interval: Interval | None  # 95% CI; None without idle samples in enough processes and rounds
    p90: records.NonNegative | None  # None with too few samples, or if too many are not idle; p99 likewise
    p99: records.NonNegative | None


@dataclass(frozen=True)
class ObservedLatency:
    """What callers experience on the machine as it was during the measurement, in microseconds: of all samples.

    A percentile is None if it has too few samples.
    """

    samples: records.Count
    p50: Percentile
    p90: Percentile | None
    p99: Percentile | None
    p999: Percentile | None
    minimum: records.NonNegative
    maximum: records.NonNegative
    mean: records.NonNegative
    std: records.NonNegative
    inferences_per_second: records.NonNegative


@dataclass(frozen=True)
class Latency:
    """The two views of the same measurement."""

    idle: IdleLatency
    observed: ObservedLatency


@dataclass(frozen=True)
class Deadline:
    """How many inferences took longer than a deadline."""

    milliseconds: records.NonNegative
    max_miss: records.Share  # limit of the share
    missed: records.Count  # of all samples
    share: records.Share
    interval: Interval  # 95% binomial CI of the share
    verdict: Verdict


@dataclass(frozen=True)
class RawSamples:
    """All samples. Each text is a base64-encoded zlib stream of little-endian int64."""

    processes: tuple[int, ...]  # number of rounds in each process
    rounds: tuple[int, ...]  # number of batches in each round
    batches: str  # number of samples in each batch
    switches: str  # how often the kernel interrupted the process during each batch (involuntary context switches)
    probes: str  # nanoseconds of the interference probes, before the first batch of each round and after each batch
    nanoseconds: str  # latency of each inference


@dataclass(frozen=True)
class Configuration(ArtifactOnRuntime):
    """An artifact on a runtime with its settings."""

    threads: records.Count  # of each session
    batch: records.Count  # images in one inference
    parallel: records.Count  # sessions side by side

    @property
    def name(self) -> str:
        """The name in messages."""
        settings = ("threads", self.threads), ("images at once", self.batch), ("sessions", self.parallel)
        return ", ".join([super().name, *(f"{count} {noun}" for noun, count in settings if count > 1)])


@dataclass(frozen=True)
class Measurement(Configuration):
    """The latency of an artifact on a runtime, of one image at a time."""

    bytes: records.Count  # size of the artifact
    package_bytes: records.Count  # installed size of the runtime's package
    import_ms: records.NonNegative  # of the runtime, without numpy; median over the processes, as are the next two
    load_ms: records.NonNegative  # loading of the artifact
    first_inference_ms: records.NonNegative
    rss_bytes: records.Count  # resident memory of the process, including Python and numpy; maximum over the processes
    peak_rss_bytes: records.Count
    warm_up_seconds: records.NonNegative  # median over the processes
    latency: Latency  # of the runtime's invoke call alone
    end_to_end: Latency  # from raw pixels to a label
    deadline: Deadline | None  # None if none was given
    unstable: tuple[str, ...]  # reasons why this measurement may be unstable
    raw: RawSamples


@dataclass(frozen=True)
class Throughput(Configuration):
    """How many images an artifact classifies on a runtime, from raw pixels to labels."""

    bytes: records.Count  # size of the artifact
    images_per_second: records.Positive  # median of all rounds
    interval: Interval | None  # 95% CI; None with too few processes or rounds
    best: bool  # of the settings of this artifact and runtime


@dataclass(frozen=True)
class Failure(Configuration):
    """An artifact that was not measured on a runtime."""

    problem: str
    remedy: str
    skipped: bool  # nothing failed: the runtime or the compiler is not installed, or the code is not trusted


Change = Literal["faster", "slower", "no measurable difference", "cannot tell"]


@dataclass(frozen=True)
class MeasurementComparison(Configuration):
    """The latency of an artifact on a runtime, compared with the baseline."""

    baseline_p50: records.NonNegative  # idle, microseconds
    current_p50: records.NonNegative  # idle, microseconds
    ratio: records.NonNegative  # current p50 / baseline p50
    interval: Interval | None  # 95% CI of the ratio; None if a report has too few idle samples
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
        undecided = not self.measurements or any(row.change == "cannot tell" for row in self.measurements)
        return undecided or any(row.interval and row.interval.low > 1 + self.fail_over for row in self.measurements)


@dataclass(frozen=True)
class PinnedCpu:
    """The core that all workers ran on."""

    number: records.Count
    isolated: bool  # whether the kernel was told to schedule nothing else there


@dataclass(frozen=True)
class BenchReport(records.Record, schema="bench", version=2):
    """The measurements of a bundle on a machine."""

    bundle_sha256: str  # of the bundle's manifest, which holds the hashes of all other files
    machine: Machine
    pinned: PinnedCpu | None  # None: the kernel chose the cores
    states: tuple[MachineState, ...]  # before, during and after the measurements
    unstable: tuple[str, ...]  # reasons why all measurements may be unstable
    measurements: tuple[Measurement, ...]  # of latency; empty if throughput was measured
    throughputs: tuple[Throughput, ...]
    failures: tuple[Failure, ...]
    versions: dict[str, str]
    comparison: BenchComparison | None = None  # None without a baseline
    skip_blank: tuple[str, ...] = ()  # artifacts that skip blank parts of images: their latency depends on the image

    @property
    def is_unstable(self) -> bool:
        """Whether any measurement may be unstable."""
        return bool(self.unstable) or any(row.unstable for row in self.measurements)

    def without_raw_samples(self) -> Self:
        """A copy without the raw samples, which take about a megabyte."""
        rows = tuple(replace(row, raw=RawSamples((), (), "", "", "", "")) for row in self.measurements)
        return replace(self, measurements=rows)
