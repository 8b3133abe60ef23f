"""Raw latency samples, and which of them are idle: taken while no other load slowed or interrupted the inference.

A worker times the interference probe, a fixed workload, before and after each batch of samples. A probe that takes
longer than the processor's best means that the batch was slowed too, for reasons that have nothing to do with the
artifact: background load, another virtual machine on the same host, a lower clock. A probe does not see what happens
inside the batch: there the kernel counts how often it gave the core to another process, and a hypervisor that took the
core away makes one inference, and so the batch, much longer than any other.
"""

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from mnistkit.bench_report import MEASURE_AGAIN, RawSamples
from mnistkit.core.errors import RecordError
from mnistkit_bench.worker import BATCH_NANOSECONDS

MAX_SAMPLES = 10**9  # raw samples of a measurement
BASELINE_PERCENTILE = 5  # percentile of the probes that is the processor's best; the minimum may be an outlier
# Share by which the probe of an idle batch may exceed the processor's best. Measured: some interference slows vector
# code more than plain Python, and at 0.10 the p50 of a process was up to 20% too high.
PROBE_TOLERANCE = 0.05
# The inference at the end of a batch takes at most this multiple of the 90th percentile, or the core was taken away. A
# multiple of the median would cut the distribution of an artifact that itself varies.
OVERRUN_FACTOR = 3
MIN_IDLE_SHARE = 0.05  # of the samples of a process; a process with fewer is excluded
MIN_IDLE_SAMPLES = 30  # of a process; with as many, it is not excluded however small their share is


@dataclass(frozen=True)
class Round:
    """The samples that a worker took without a pause. Raises ValueError if the arrays do not match."""

    nanoseconds: NDArray[np.int64]  # latency of each inference
    batches: NDArray[np.int64]  # number of samples in each batch
    switches: NDArray[np.int64]  # how often the kernel interrupted the process during each batch
    probes: NDArray[np.int64]  # nanoseconds, before the first batch and after each batch

    def __post_init__(self) -> None:
        for values, minimum in ((self.nanoseconds, 1), (self.batches, 1), (self.switches, 0), (self.probes, 1)):
            if values.ndim != 1 or not values.size or values.min() < minimum:
                raise ValueError("the samples of a round must be lists of positive numbers")
        counts = len(self.batches), len(self.switches), len(self.probes) - 1
        if len(set(counts)) > 1 or len(self.nanoseconds) != self.batches.sum():
            raise ValueError("the numbers of samples, batches and probes do not match")

    def quiet_batches(self, probe_limit: float) -> NDArray[np.bool_]:
        """Whether no probe or context switch shows interference with a batch, bool [batches]."""
        fast = self.probes <= probe_limit
        quiet: NDArray[np.bool_] = fast[:-1] & fast[1:] & (self.switches == 0)
        return quiet

    def samples_of(self, batches: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The samples of these batches, in nanoseconds."""
        repeats = self.batches.astype(np.intp)  # np.repeat accepts no int64 on 32-bit systems
        return self.nanoseconds[np.repeat(batches, repeats)]

    def durations(self) -> NDArray[np.int64]:
        """The nanoseconds of all inferences of each batch, int64 [batches]."""
        starts = np.cumsum(self.batches) - self.batches
        return np.add.reduceat(self.nanoseconds, starts.astype(np.intp))


RoundsByProcess = Sequence[Sequence[Round]]
SamplesByProcess = Sequence[Sequence[NDArray[np.int64]]]  # nanoseconds, by process and round


def all_samples(processes: RoundsByProcess) -> SamplesByProcess:
    """All samples."""
    return [[round_.nanoseconds for round_ in rounds] for rounds in processes]


def idle_samples(processes: RoundsByProcess) -> SamplesByProcess:
    """The idle samples. Rounds without any, and processes with too few, are left out."""
    rounds = list(chain(*processes))
    probe_limit = (1 + PROBE_TOLERANCE) * float(np.percentile(_join(r.probes for r in rounds), BASELINE_PERCENTILE))
    quiet = _join(round_.samples_of(round_.quiet_batches(probe_limit)) for round_ in rounds)
    if not len(quiet):
        return []
    longest = BATCH_NANOSECONDS + OVERRUN_FACTOR * float(np.percentile(quiet, 90))

    def idle(round_: Round) -> NDArray[np.int64]:
        return round_.samples_of(round_.quiet_batches(probe_limit) & (round_.durations() <= longest))

    kept = []
    for process in processes:
        samples = [array for array in map(idle, process) if len(array)]
        minimum = min(MIN_IDLE_SAMPLES, MIN_IDLE_SHARE * sum(len(round_.nanoseconds) for round_ in process))
        if samples and count(samples) >= minimum:
            kept.append(samples)
    return kept


def pool(processes: SamplesByProcess) -> NDArray[np.int64]:
    """The samples of all processes, int64 [N]."""
    return _join(chain(*processes))


def count(arrays: Iterable[NDArray[np.int64]]) -> int:
    """The number of samples."""
    return sum(map(len, arrays))


def _join(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(list(arrays))


def pack(processes: RoundsByProcess) -> RawSamples:
    """Compress the rounds."""
    rounds = list(chain(*processes))
    return RawSamples(
        processes=tuple(map(len, processes)),
        rounds=tuple(len(round_.batches) for round_ in rounds),
        batches=_compress([round_.batches for round_ in rounds]),
        switches=_compress([round_.switches for round_ in rounds]),
        probes=_compress([round_.probes for round_ in rounds]),
        nanoseconds=_compress([round_.nanoseconds for round_ in rounds]),
    )


def unpack(raw: RawSamples) -> RoundsByProcess:
    """Decompress the rounds; raises RecordError if they are corrupt."""
    try:
        rounds = iter(_unpack_rounds(raw))
    except (ValueError, zlib.error) as error:
        raise RecordError(f"the raw samples are corrupt: {error}", MEASURE_AGAIN) from error
    return [list(islice(rounds, count)) for count in raw.processes]


def _unpack_rounds(raw: RawSamples) -> list[Round]:
    if min(raw.processes, default=0) < 1 or sum(raw.processes) != len(raw.rounds):
        raise ValueError("the numbers of processes and rounds do not match")
    if min(raw.rounds) < 1:
        raise ValueError("a round has no batches")
    batches = _split(_decompress(raw.batches, sum(raw.rounds)), raw.rounds)
    switches = _split(_decompress(raw.switches, sum(raw.rounds), minimum=0), raw.rounds)
    probes = _split(_decompress(raw.probes, sum(raw.rounds) + len(raw.rounds)), [count + 1 for count in raw.rounds])
    samples = [sum(sizes.tolist()) for sizes in batches]
    nanoseconds = _split(_decompress(raw.nanoseconds, sum(samples)), samples)
    return [Round(*arrays) for arrays in zip(nanoseconds, batches, switches, probes, strict=True)]


def _split(values: NDArray[np.int64], lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Consecutive parts of `values` with these lengths."""
    return np.split(values, np.cumsum(lengths)[:-1])


def _compress(arrays: Sequence[NDArray[np.int64]]) -> str:
    return base64.b64encode(zlib.compress(np.concatenate(arrays).astype("<i8").tobytes())).decode()


def _decompress(text: str, length: int, minimum: int = 1) -> NDArray[np.int64]:
    """`length` integers of at least `minimum`; raises ValueError or zlib.error if `text` holds anything else."""
    if not 0 < length <= MAX_SAMPLES:
        raise ValueError(f"{length} values")
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=8 * length + 1)
    if len(content) != 8 * length:
        raise ValueError(f"{len(content)} bytes for {length} values")
    values = np.frombuffer(content, "<i8").astype(np.int64)
    if values.min() < minimum:
        raise ValueError(f"a value is less than {minimum}")
    return values
