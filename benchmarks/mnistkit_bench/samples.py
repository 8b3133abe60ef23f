"""Raw times, by processes, rounds and batches, with what tells which of them something else slowed.

Before a batch of times and after it a worker times a fixed piece of work, the yardstick. Where that took longer than
at the processor's best, so did the batch, for reasons that have nothing to do with the artifact: another program, a
neighbour of the virtual machine, a lower clock.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING

from mnistkit.bench_report import MEASURE_AGAIN, RawSamples
from mnistkit.core.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SAMPLES = 10**9  # raw times of a row
BASELINE_PERCENTILE = 5  # the percentile of the yardsticks that is the processor's best: its minimum may be a freak
# By which share a yardstick may take longer than that. Measured: some things slow vector code more than plain Python,
# and at 0.10 the p50 of a process came out up to 20% too high.
PROBE_TOLERANCE = 0.05
MIN_ACCEPTED_FRACTION = 0.05  # share of a process's times that must be undisturbed, or it says nothing


@dataclass(frozen=True)
class Round:
    """What a worker measured without a pause: nanoseconds."""

    times: NDArray[np.int64]
    batches: NDArray[np.int64]  # how many of the times each batch has
    probes: NDArray[np.int64]  # before the first batch and after each

    def __post_init__(self) -> None:
        if not self._is_whole():
            raise ValueError("times, batches and yardsticks don't fit each other")

    def _is_whole(self) -> bool:
        fields = self.times, self.batches, self.probes
        if any(field.ndim != 1 or not field.size or field.min() < 1 for field in fields):
            return False
        return len(self.probes) == len(self.batches) + 1 and len(self.times) == self.batches.sum()

    def accepted(self, limit: float) -> NDArray[np.bool_]:
        """Which batches have yardsticks of at most `limit` on both sides."""
        fine: NDArray[np.bool_] = self.probes <= limit
        return fine[:-1] & fine[1:]


Processes = Sequence[Sequence[Round]]
Times = Sequence[Sequence["NDArray[np.int64]"]]  # by processes and rounds


def limit(rounds: Iterable[Round]) -> float:
    """Nanoseconds that a yardstick may take where nothing slows it."""
    import numpy as np

    return (1 + PROBE_TOLERANCE) * float(
        np.percentile(np.concatenate([each.probes for each in rounds]), BASELINE_PERCENTILE)
    )


def accepted(processes: Processes) -> tuple[Times, float]:
    """The times that nothing slowed, of processes that have enough of them, and which share of all they are.

    All times, and 0, where no process has.
    """
    most = limit(chain(*processes))
    kept = [times for rounds in processes if (times := _accepted(rounds, most))]
    share = sum(map(len, chain(*kept))) / sum(len(each.times) for each in chain(*processes))
    return kept or [[each.times for each in rounds] for rounds in processes], share


def _accepted(rounds: Sequence[Round], most: float) -> list[NDArray[np.int64]]:
    """Those of one process; nothing where they are too few."""
    import numpy as np

    kept = [each.times[np.repeat(each.accepted(most), each.batches.astype(np.intp))] for each in rounds]
    enough = sum(map(len, kept)) >= MIN_ACCEPTED_FRACTION * sum(len(each.times) for each in rounds)
    return [times for times in kept if len(times)] if enough else []


def pack(processes: Processes) -> RawSamples:
    """The times, compactly."""
    rounds = list(chain(*processes))
    return RawSamples(
        processes=tuple(map(len, processes)),
        rounds=tuple(len(each.batches) for each in rounds),
        batches=_packed([each.batches for each in rounds]),
        probes=_packed([each.probes for each in rounds]),
        nanoseconds=_packed([each.times for each in rounds]),
    )


def unpack(raw: RawSamples) -> Processes:
    """The times; raises RecordError where they aren't whole."""
    try:
        rounds = list(_rounds(raw))
        if min(raw.processes, default=0) < 1 or sum(raw.processes) != len(rounds):
            raise ValueError("they belong to no processes")
    except (ValueError, zlib.error) as error:
        raise RecordError(f"the raw times are broken: {error}", MEASURE_AGAIN) from error
    return [rounds[start:end] for start, end in pairwise(accumulate(raw.processes, initial=0))]


def _rounds(raw: RawSamples) -> Iterator[Round]:
    if min(raw.rounds, default=0) < 1:
        raise ValueError("there are none")
    batches = _unpacked(raw.batches, sum(raw.rounds))
    probes = _unpacked(raw.probes, sum(raw.rounds) + len(raw.rounds))
    times = _unpacked(raw.nanoseconds, sum(batches.tolist()))
    firsts = list(accumulate(batches.tolist(), initial=0))
    for place, (start, end) in enumerate(pairwise(accumulate(raw.rounds, initial=0))):
        yield Round(times[firsts[start] : firsts[end]], batches[start:end], probes[start + place : end + place + 1])


def _packed(arrays: Sequence[NDArray[np.int64]]) -> str:
    import numpy as np

    return base64.b64encode(zlib.compress(np.concatenate(arrays).astype("<i8").tobytes(), 9)).decode()


def _unpacked(text: str, count: int) -> NDArray[np.int64]:
    """So many integers; raises ValueError or zlib.error where there are others."""
    import numpy as np

    if not 0 < count <= MAX_SAMPLES:
        raise ValueError(f"{count} of them")
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=8 * count + 1)
    if len(content) != 8 * count:
        raise ValueError(f"{len(content)} bytes are not {count} times")
    values = np.frombuffer(content, "<i8").astype(np.int64)
    if values.min() < 1:
        raise ValueError("some are negative")
    return values
