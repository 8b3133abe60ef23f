"""The process that measures one artifact: `python -m mnistkit_bench.worker`.

It reads a job and then requests, each a line of JSON on standard input, and replies to each with one line. A latency
sample times the runtime's invoke call alone; an end-to-end sample times everything from raw pixels to a label. A
throughput sample is the time per image, in picoseconds, of all sessions together, from raw pixels to labels.
"""

import itertools
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit import bundle
from mnistkit.core import processes
from mnistkit.core.errors import SessionError
from mnistkit.core.processes import Message
from mnistkit.runtimes import RUNTIMES, Runtime, Session

IMAGES = 1000  # of the test set, used in turn
THROUGHPUT_NANOSECONDS = 20_000_000  # of one sample
BATCH_NANOSECONDS = 1_000_000  # a batch ends with the first inference that ends after it
PROBE_WORKLOAD = range(3000)

clock = time.perf_counter_ns
Sampler = Callable[[], int]  # runs one inference and returns its nanoseconds
BatchSampler = Callable[[int], list[int]]  # takes samples until the clock reaches a time, at least one


def main() -> None:
    """Serve one runner until it closes standard input."""
    with processes.worker_channel() as (requests, send):
        job = next(requests)
        pin(job)
        sessions, images, cold_start = _open(job)
        send(cold_start)
        samplers: dict[str, BatchSampler] = {
            "latency": _batch_sampler(_latency(sessions[0], images)),
            "end_to_end": _batch_sampler(_end_to_end(sessions[0], images)),
            "throughput": _throughput(sessions, images),
        }
        for request in requests:
            send(measure_round(samplers[request["measure"]], request["seconds"]))


def _open(job: Message) -> tuple[list[Session], NDArray[np.uint8], dict[str, float]]:
    """The sessions, the images in batches, and the cold start of the first session in milliseconds."""
    batch = job["batch"]
    images = bundle.read_first_chunk(Path(job["test_set"]))
    images = images[np.arange(IMAGES // batch * batch) % len(images)]  # frees the other images
    images = images.reshape(-1, batch, *images.shape[1:])
    runtime = RUNTIMES[job["runtime"]]
    started = clock()
    runtime.preload()
    imported = clock()
    session = _open_session(runtime, job)
    loaded = clock()
    if session.batch != batch:
        raise SessionError(f"the artifact takes {session.batch} images at once, not {batch}", "pass another --batch")
    session.load(images[0])
    session.run()
    inferred = clock()
    others = [_open_session(runtime, job) for _ in range(job["parallel"] - 1)]
    cold_start = {
        "import_ms": (imported - started) / 1e6,
        "load_ms": (loaded - imported) / 1e6,
        "first_inference_ms": (inferred - loaded) / 1e6,
    }
    return [session, *others], images, cold_start


def _open_session(runtime: Runtime, job: Message) -> Session:
    return runtime.open(Path(job["artifact"]), job["batch"], job["threads"], trust_code=job["trust_code"])


def pin(job: Message) -> None:
    """Run this process on the core that the job names, if it names one."""
    if job["cpu"] is not None:
        os.sched_setaffinity(0, {job["cpu"]})


def measure_round(sample_batch: BatchSampler, seconds: float) -> dict[str, Any]:
    """Take batches of samples for `seconds`, at least one, with an interference probe before and after each."""
    sample_batch(0)  # excluded: another worker ran before this one, and caches are cold
    end = clock() + int(seconds * 1e9)
    nanoseconds: list[int] = []
    batches: list[int] = []
    switches: list[int] = []
    probes = [_probe()]
    while not batches or clock() < end:
        before = _involuntary_switches()
        batch = sample_batch(clock() + BATCH_NANOSECONDS)
        switches.append(_involuntary_switches() - before)
        nanoseconds += batch
        batches.append(len(batch))
        probes.append(_probe())
    usage = {"cpu_seconds": time.process_time(), **_memory()}
    return {"nanoseconds": nanoseconds, "batches": batches, "switches": switches, "probes": probes, **usage}


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


def _throughput(sessions: list[Session], images: NDArray[np.uint8]) -> BatchSampler:
    """Takes one sample: classifies for THROUGHPUT_NANOSECONDS, or one batch in each session if the time has come."""
    pool, cycles = ThreadPoolExecutor(len(sessions)), [itertools.cycle(images) for _ in sessions]

    def classify(session: Session, batches: Iterator[NDArray[np.uint8]], end: int) -> int:
        count = 0
        while True:
            session.load(next(batches))
            session.run()
            session.read().argmax(axis=1)
            count += session.batch
            if clock() >= end:
                return count

    def sample_batch(end: int) -> list[int]:
        started = clock()
        end = started + THROUGHPUT_NANOSECONDS if end > started else started
        count = sum(pool.map(classify, sessions, cycles, [end] * len(sessions)))
        return [1000 * (clock() - started) // count]

    return sample_batch


def _probe() -> int:
    """Nanoseconds of the interference probe, a fixed workload in plain Python."""
    started = clock()
    sum(PROBE_WORKLOAD)
    return clock() - started


def _involuntary_switches() -> int:
    """How often the kernel has given a core of this process to another process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _memory() -> dict[str, int]:
    """The resident memory of this process, current and peak, in bytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = {"rss_bytes": "VmRSS", "peak_rss_bytes": "VmHWM"}
    return {name: int(fields[field].split()[0]) * 1024 for name, field in names.items()}


if __name__ == "__main__":
    main()
