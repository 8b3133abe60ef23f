"""Raw latency samples, and the interference probes that show which samples other load has slowed.

A worker times the interference probe, a fixed workload, before and after each batch of samples. A probe that takes
longer than the processor's best means that the batch was slowed too, for reasons that have nothing to do with the
artifact: background load, another virtual machine on the same host, a lower clock.
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

MAX_SAMPLES = 10**9  # raw samples of a measurement
BASELINE_PERCENTILE = 5  # percentile of the probes that is the processor's best; the minimum may be an outlier
# Share by which an accepted probe may exceed the processor's best. Measured: some interference slows vector code more
# than plain Python, and at 0.10 the p50 of a process was up to 20% too high.
PROBE_TOLERANCE = 0.05
MIN_ACCEPTED_FRACTION = 0.05  # of the samples of a process; a process with fewer is excluded


@dataclass(frozen=True)
class Round:
    """The samples that a worker took without a pause. Raises ValueError if the three arrays do not match."""

    nanoseconds: NDArray[np.int64]  # latency of each inference
    batches: NDArray[np.int64]  # number of samples in each batch
    probes: NDArray[np.int64]  # nanoseconds, before the first batch and after each batch

    def __post_init__(self) -> None:
        for values in (self.nanoseconds, self.batches, self.probes):
            if values.ndim != 1 or not values.size or values.min() < 1:
                raise ValueError("the samples of a round must be lists of positive numbers")
        if len(self.probes) != len(self.batches) + 1 or len(self.nanoseconds) != self.batches.sum():
            raise ValueError("the numbers of samples, batches and probes do not match")

    def accepted_batches(self, limit: float) -> NDArray[np.bool_]:
        """Whether the probes before and after each batch took at most `limit` nanoseconds, bool [batches]."""
        fast: NDArray[np.bool_] = self.probes <= limit
        return fast[:-1] & fast[1:]

    def accepted_samples(self, limit: float) -> NDArray[np.int64]:
        """The samples of the accepted batches, in nanoseconds."""
        repeats = self.batches.astype(np.intp)  # np.repeat accepts no int64 on 32-bit systems
        return self.nanoseconds[np.repeat(self.accepted_batches(limit), repeats)]


RoundsByProcess = Sequence[Sequence[Round]]
SamplesByProcess = Sequence[Sequence[NDArray[np.int64]]]  # nanoseconds, by process and round


def probe_limit(rounds: Iterable[Round]) -> float:
    """The longest interference probe, in nanoseconds, whose adjacent batches are accepted."""
    probes = np.concatenate([round_.probes for round_ in rounds])
    return (1 + PROBE_TOLERANCE) * float(np.percentile(probes, BASELINE_PERCENTILE))


def accepted_samples(processes: RoundsByProcess) -> tuple[SamplesByProcess, float]:
    """The accepted samples, and their share of all samples.

    Processes and rounds without accepted samples are left out. Returns all samples and 0 if no process is left.
    """
    limit = probe_limit(chain(*processes))
    all_samples = [[round_.nanoseconds for round_ in rounds] for rounds in processes]
    kept = []
    for rounds, samples in zip(processes, all_samples, strict=True):
        accepted = [round_.accepted_samples(limit) for round_ in rounds]
        if _count(accepted) >= MIN_ACCEPTED_FRACTION * _count(samples):
            kept.append([array for array in accepted if len(array)])
    return kept or all_samples, sum(map(_count, kept)) / sum(map(_count, all_samples))


def _count(arrays: Iterable[NDArray[np.int64]]) -> int:
    return sum(map(len, arrays))


def pack(processes: RoundsByProcess) -> RawSamples:
    """Compress the rounds."""
    rounds = list(chain(*processes))
    return RawSamples(
        processes=tuple(map(len, processes)),
        rounds=tuple(len(round_.batches) for round_ in rounds),
        batches=_compress([round_.batches for round_ in rounds]),
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
    probes = _split(_decompress(raw.probes, sum(raw.rounds) + len(raw.rounds)), [count + 1 for count in raw.rounds])
    samples = [sum(sizes.tolist()) for sizes in batches]
    nanoseconds = _split(_decompress(raw.nanoseconds, sum(samples)), samples)
    return [Round(*arrays) for arrays in zip(nanoseconds, batches, probes, strict=True)]


def _split(values: NDArray[np.int64], lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Consecutive parts of `values` with these lengths."""
    return np.split(values, np.cumsum(lengths)[:-1])


def _compress(arrays: Sequence[NDArray[np.int64]]) -> str:
    return base64.b64encode(zlib.compress(np.concatenate(arrays).astype("<i8").tobytes())).decode()


def _decompress(text: str, count: int) -> NDArray[np.int64]:
    """`count` positive integers; raises ValueError or zlib.error if `text` holds anything else."""
    if not 0 < count <= MAX_SAMPLES:
        raise ValueError(f"{count} values")
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=8 * count + 1)
    if len(content) != 8 * count:
        raise ValueError(f"{len(content)} bytes for {count} values")
    values = np.frombuffer(content, "<i8").astype(np.int64)
    if values.min() < 1:
        raise ValueError("a value is not positive")
    return values
