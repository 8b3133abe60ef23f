"""The process that measures one artifact: `python -m mnistkit_bench.worker`.

It reads a job and then requests, each a line of JSON on standard input, and replies to each with one line. A latency
sample times the runtime's invoke call alone; an end-to-end sample times everything from raw pixels to a label.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit import bundle
from mnistkit.core import processes
from mnistkit.core.processes import Message
from mnistkit.runtimes import RUNTIMES, Session

IMAGES = 1000  # of the test set, used in turn
BATCH_NANOSECONDS = 1_000_000
PROBE_WORKLOAD = range(3000)

clock = time.perf_counter_ns
Sampler = Callable[[], int]  # runs one inference and returns its nanoseconds
BatchSampler = Callable[[int], list[int]]  # takes samples until the clock reaches a time, at least one


def main() -> None:
    """Serve one runner until it closes standard input."""
    with processes.worker_channel() as (requests, send):
        session, images, cold_start = _open(next(requests))
        send(cold_start)
        samplers = {"latency": _latency(session, images), "end_to_end": _end_to_end(session, images)}
        for request in requests:
            send(measure_round(_batch_sampler(samplers[request["measure"]]), request["seconds"]))


def _open(job: Message) -> tuple[Session, NDArray[np.uint8], dict[str, float]]:
    """The session, the images, and the cold start in milliseconds."""
    images = bundle.read_first_chunk(Path(job["test_set"]))
    images = images[:IMAGES, None].copy()  # frees the other images
    runtime = RUNTIMES[job["runtime"]]
    started = clock()
    runtime.preload()
    imported = clock()
    session = runtime.open(Path(job["artifact"]), threads=job["threads"])
    loaded = clock()
    session.load(images[0])
    session.run()
    inferred = clock()
    cold_start = {
        "import_ms": (imported - started) / 1e6,
        "load_ms": (loaded - imported) / 1e6,
        "first_inference_ms": (inferred - loaded) / 1e6,
    }
    return session, images, cold_start


def measure_round(sample_batch: BatchSampler, seconds: float) -> dict[str, Any]:
    """Take batches of samples for `seconds`, at least one, with an interference probe before and after each."""
    sample_batch(0)  # excluded: another worker ran before this one, and caches are cold
    end = clock() + int(seconds * 1e9)
    nanoseconds: list[int] = []
    batches: list[int] = []
    probes = [_probe()]
    while not batches or clock() < end:
        batch = sample_batch(clock() + BATCH_NANOSECONDS)
        nanoseconds += batch
        batches.append(len(batch))
        probes.append(_probe())
    usage = {"cpu_seconds": time.process_time(), **_memory()}
    return {"nanoseconds": nanoseconds, "batches": batches, "probes": probes, **usage}


def _batch_sampler(sample: Sampler) -> BatchSampler:
    def sample_batch(end: int) -> list[int]:
        nanoseconds: list[int] = []
        while True:
            nanoseconds.append(sample())
            if clock() >= end:
                return nanoseconds

    return sample_batch


def _latency(session: Session, images: NDArray[np.uint8]) -> Sampler:
    load, run, cycle = session.load, session.run, itertools.cycle(images)

    def sample() -> int:
        load(next(cycle))
        started = clock()
        run()
        return clock() - started

    return sample


def _end_to_end(session: Session, images: NDArray[np.uint8]) -> Sampler:
    load, run, read = session.load, session.run, session.read
    shape, cycle = images.shape[1:], itertools.cycle([image.tobytes() for image in images])

    def sample() -> int:
        content = next(cycle)
        started = clock()
        load(np.frombuffer(content, np.uint8).reshape(shape))
        run()
        read()[0].argmax()
        return clock() - started

    return sample


def _probe() -> int:
    """Nanoseconds of the interference probe, a fixed workload in plain Python."""
    started = clock()
    sum(PROBE_WORKLOAD)
    return clock() - started


def _memory() -> dict[str, int]:
    """The resident memory of this process, current and peak, in bytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = {"rss_bytes": "VmRSS", "peak_rss_bytes": "VmHWM"}
    return {name: int(fields[field].split()[0]) * 1024 for name, field in names.items()}


if __name__ == "__main__":
    main()
