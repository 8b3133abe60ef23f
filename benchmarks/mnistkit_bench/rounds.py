"""Raw times, in rounds of batches, with what tells which of them something else slowed.

Before a batch of times and after it a worker times a fixed piece of work, the yardstick. Where that took longer than
at the processor's best, so did the batch, for reasons that have nothing to do with the artifact: another program, a
neighbour of the virtual machine, a lower clock.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from mnistkit.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 10**9  # raw times of a row
MEASURE_AGAIN = "measure again with 'mnistkit bench'"
BEST = 5  # the percentile of the yardsticks that is the processor's best: its minimum may be a freak
SLOWER = 0.10  # by which share a yardstick may take longer than that


@dataclass(frozen=True)
class Round:
    """What a worker measured without a pause: nanoseconds."""

    times: NDArray[np.int64]
    batches: NDArray[np.int64]  # how many of the times each batch has
    yardsticks: NDArray[np.int64]  # before the first batch and after each

    def __post_init__(self) -> None:
        if not self._is_whole():
            raise ValueError("times, batches and yardsticks don't fit each other")

    def _is_whole(self) -> bool:
        fields = self.times, self.batches, self.yardsticks
        if any(field.ndim != 1 or not field.size or field.min() < 1 for field in fields):
            return False
        return len(self.yardsticks) == len(self.batches) + 1 and len(self.times) == self.batches.sum()

    def undisturbed(self, limit: float) -> NDArray[np.bool_]:
        """Which batches have yardsticks of at most `limit` on both sides."""
        fine: NDArray[np.bool_] = self.yardsticks <= limit
        return fine[:-1] & fine[1:]


@dataclass(frozen=True)
class Raw:
    """Every time that was measured: base64 of zlib streams of little-endian 64-bit integers."""

    rounds: tuple[int, ...]  # how many batches each has
    batches: str  # how many times each has
    yardsticks: str
    nanoseconds: str


def limit(rounds: Sequence[Round]) -> float:
    """Nanoseconds that a yardstick may take where nothing slows it."""
    import numpy as np

    return (1 + SLOWER) * float(np.percentile(np.concatenate([each.yardsticks for each in rounds]), BEST))


def undisturbed(rounds: Sequence[Round]) -> tuple[list[NDArray[np.int64]], float]:
    """The times that nothing slowed, by rounds, and which share of all they are; all, and 0, where there are none."""
    import numpy as np

    most = limit(rounds)
    kept = [each.times[np.repeat(each.undisturbed(most), each.batches)] for each in rounds]
    share = sum(map(len, kept)) / sum(len(each.times) for each in rounds)
    return [times for times in kept if len(times)] or [each.times for each in rounds], share


def pack(rounds: Sequence[Round]) -> Raw:
    """The rounds, compactly."""
    return Raw(
        rounds=tuple(len(each.batches) for each in rounds),
        batches=_packed([each.batches for each in rounds]),
        yardsticks=_packed([each.yardsticks for each in rounds]),
        nanoseconds=_packed([each.times for each in rounds]),
    )


def unpack(raw: Raw) -> list[Round]:
    """The rounds; raises RecordError where they aren't whole."""
    try:
        return list(_rounds(raw))
    except (ValueError, zlib.error) as error:
        raise RecordError(f"the raw times are broken: {error}", MEASURE_AGAIN) from error


def _rounds(raw: Raw) -> Iterator[Round]:
    if min(raw.rounds, default=0) < 1:
        raise ValueError("there are none")
    batches = _unpacked(raw.batches, sum(raw.rounds))
    yardsticks = _unpacked(raw.yardsticks, sum(raw.rounds) + len(raw.rounds))
    times = _unpacked(raw.nanoseconds, sum(batches.tolist()))
    ends = batches.cumsum()
    for place, (start, end) in enumerate(pairwise(accumulate(raw.rounds, initial=0))):
        first = 0 if start == 0 else ends[start - 1]
        yield Round(times[first : ends[end - 1]], batches[start:end], yardsticks[start + place : end + place + 1])


def _packed(arrays: Sequence[NDArray[np.int64]]) -> str:
    import numpy as np

    return base64.b64encode(zlib.compress(np.concatenate(arrays).astype("<i8").tobytes(), 9)).decode()


def _unpacked(text: str, count: int) -> NDArray[np.int64]:
    """So many integers; raises ValueError or zlib.error where there are others."""
    import numpy as np

    if not 0 < count <= MOST:
        raise ValueError(f"{count} of them")
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max_length=8 * count + 1)
    if len(content) != 8 * count:
        raise ValueError(f"{len(content)} bytes are not {count} times")
    values = np.frombuffer(content, "<i8").astype(np.int64)
    if values.min() < 1:
        raise ValueError("some are negative")
    return values
