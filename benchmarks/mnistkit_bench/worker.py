"""The process that one artifact is measured in: `python -m mnistkit_bench.worker`.

It reads a job, then requests, as JSON lines from standard input, and answers each with one line. The timed
region holds the runtime's own call and nothing else.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit import children, files
from mnistkit.runtimes import RUNTIMES, Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGES = 1000  # of the test set, taken in turn


def main() -> None:
    """Serve one runner until it closes standard input."""
    with children.conversation() as (requests, reply):
        session, images, cold = _open(next(requests))
        reply(cold)
        position = 0
        for request in requests:
            times = _measure(session, images, position, **request)
            position += len(times)
            reply({"nanoseconds": times})


def _open(job: dict[str, Any]) -> tuple[Session, NDArray[np.uint8], dict[str, float]]:
    images = files.read_npz(Path(job["test_set"]), ("images",))["images"][:IMAGES, None]
    runtime = RUNTIMES[job["runtime"]]
    started = time.perf_counter_ns()
    runtime.preload()
    imported = time.perf_counter_ns()
    session = runtime.open(Path(job["artifact"]), threads=job["threads"])
    opened = time.perf_counter_ns()
    session.load(images[0])
    session.run()
    answered = time.perf_counter_ns()
    cold = {"import": imported - started, "load": opened - imported, "first": answered - opened}
    return session, images, {f"{stage}_ms": nanoseconds / 1e6 for stage, nanoseconds in cold.items()}


def _measure(session: Session, images: NDArray[np.uint8], position: int, seconds: float) -> list[int]:
    """Nanoseconds of each inference: as many as fit in `seconds`, and one at least."""
    clock, load, run = time.perf_counter_ns, session.load, session.run
    times: list[int] = []
    end = clock() + int(seconds * 1e9)
    while True:
        load(images[(position + len(times)) % len(images)])
        started = clock()
        run()
        times.append(clock() - started)
        if clock() >= end:
            return times


if __name__ == "__main__":
    main()
