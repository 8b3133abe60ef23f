"""The process that one artifact is measured in: `python -m mnistkit_bench.worker`.

It reads a job, then requests, as JSON lines from standard input, and answers each with one line. The timed
region holds the runtime's own call and nothing else; that of end to end, all from raw bytes to a label.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit.core import files, processes
from mnistkit.runtimes import RUNTIMES, Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGES = 1000  # of the test set, taken in turn
BATCH_NANOSECONDS = 1_000_000
PROBE_WORKLOAD = range(3000)

clock = time.perf_counter_ns


def main() -> None:
    """Serve one runner until it closes standard input."""
    with processes.worker_channel() as (requests, reply):
        session, images, cold = _open(next(requests))
        reply(cold)
        timed = {"latency": _latency(session, images), "end_to_end": _end_to_end(session, images)}
        for request in requests:
            reply(in_batches(_repeat(timed[request["what"]]), request["seconds"]))


def _open(job: dict[str, Any]) -> tuple[Session, NDArray[np.uint8], dict[str, float]]:
    images = files.read_npz(Path(job["test_set"]), ("images",))["images"][:IMAGES, None].copy()  # without the others
    runtime = RUNTIMES[job["runtime"]]
    started = clock()
    runtime.preload()
    imported = clock()
    session = runtime.open(Path(job["artifact"]), threads=job["threads"])
    opened = clock()
    session.load(images[0])
    session.run()
    answered = clock()
    cold = {"import": imported - started, "load": opened - imported, "first": answered - opened}
    return session, images, {f"{stage}_ms": nanoseconds / 1e6 for stage, nanoseconds in cold.items()}


def in_batches(repeat: Callable[[int], list[int]], seconds: float) -> dict[str, Any]:
    """A round's answer: what `repeat` times until the clock shows what it is given, with the yardstick in between."""
    repeat(0)  # the first finds everything cold, since another worker ran before this
    end = clock() + int(seconds * 1e9)
    times: list[int] = []
    batches: list[int] = []
    probes = [_probe()]
    while not batches or clock() < end:
        batch = repeat(clock() + BATCH_NANOSECONDS)
        times += batch
        batches.append(len(batch))
        probes.append(_probe())
    spent = {"cpu": time.process_time(), **_memory()}
    return {"nanoseconds": times, "batches": batches, "yardsticks": probes, **spent}


def _repeat(timed: Callable[[], int]) -> Callable[[int], list[int]]:
    """What times it again and again until the clock shows `end`, and once at least."""

    def repeat(end: int) -> list[int]:
        times: list[int] = []
        while True:
            times.append(timed())
            if clock() >= end:
                return times

    return repeat


def _latency(session: Session, images: NDArray[np.uint8]) -> Callable[[], int]:
    load, run, turn = session.load, session.run, itertools.cycle(images)

    def timed() -> int:
        load(next(turn))
        started = clock()
        run()
        return clock() - started

    return timed


def _end_to_end(session: Session, images: NDArray[np.uint8]) -> Callable[[], int]:
    import numpy as np

    load, run, read = session.load, session.run, session.read
    shape, turn = images.shape[1:], itertools.cycle([image.tobytes() for image in images])

    def timed() -> int:
        content = next(turn)
        started = clock()
        load(np.frombuffer(content, np.uint8).reshape(shape))
        run()
        read()[0].argmax()
        return clock() - started

    return timed


def _probe() -> int:
    """Nanoseconds of a fixed piece of plain Python: it takes longer where the processor runs slower."""
    started = clock()
    sum(PROBE_WORKLOAD)
    return clock() - started


def _memory() -> dict[str, int]:
    """Bytes of this process in memory, now and at most."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = {"resident_bytes": "VmRSS", "peak_bytes": "VmHWM"}
    return {name: int(fields[field].split()[0]) * 1024 for name, field in names.items()}


if __name__ == "__main__":
    main()
