"""Measures a bundle's artifacts, each in a process of its own, all alive side by side, in short rounds in turn.

So whatever slows the machine for a while slows all of them alike.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mnistkit.bundle import Artifact, Bundle
from mnistkit.children import Child
from mnistkit.machine import this_machine
from mnistkit.progress import SILENT, Progress
from mnistkit.runtimes import Runtime, pair, runtime_versions
from mnistkit_bench.results import BenchReport, Measurement
from mnistkit_bench.statistics import summarise

WARM_UP_SECONDS = 0.3
ROUND_SECONDS = 0.1
PATIENCE_SECONDS = 60.0  # beyond what a worker was asked for, before it counts as hung
THREADS = 1


@dataclass(frozen=True)
class Job:
    """An artifact to be measured on a runtime, with the images of a test set in turn."""

    artifact: Path
    runtime: Runtime
    test_set: Path


@dataclass
class Worker:
    """A worker process, and the times it has answered so far."""

    job: Job
    child: Child
    cold: dict[str, float] = field(default_factory=dict)
    times: array[int] = field(default_factory=lambda: array("Q"))  # nanoseconds


def bench(bundle: Bundle, runtimes: tuple[str, ...], seconds: float, progress: Progress = SILENT) -> BenchReport:
    """Measure every artifact on each runtime for its format, or on those named, `seconds` each, one thread.

    Raises MissingExtraError where a runtime isn't installed, WorkerError where a worker fails.
    """
    pairs = pair(bundle.manifest.artifacts, runtimes, for_devices=True)
    test_set = bundle.file(bundle.manifest.test_set)
    workers = measure([Job(bundle.file(artifact), runtime, test_set) for artifact, runtime in pairs], seconds, progress)
    measurements = tuple(_measurement(artifact, worker) for (artifact, _), worker in zip(pairs, workers, strict=True))
    return BenchReport(bundle.manifest_sha256, this_machine(), measurements, runtime_versions())


def measure(jobs: list[Job], seconds: float, progress: Progress = SILENT) -> list[Worker]:
    """Do the jobs side by side, `seconds` each, in rounds; raises WorkerError where a worker fails."""
    rounds = max(1, round(seconds / ROUND_SECONDS))
    with _workers(jobs) as workers:
        with progress.task("starting and warming up", len(workers)) as advance:
            for worker in workers:
                worker.cold = worker.child.answer(PATIENCE_SECONDS)
                _run(worker, WARM_UP_SECONDS)
                advance(1)
        with progress.task("measuring", rounds) as advance:
            for _ in range(rounds):
                for worker in workers:
                    worker.times.extend(_run(worker, ROUND_SECONDS))
                advance(1)
        return workers


def _run(worker: Worker, seconds: float) -> list[int]:
    worker.child.send({"seconds": seconds})
    times: list[int] = worker.child.answer(seconds + PATIENCE_SECONDS)["nanoseconds"]
    return times


def _measurement(artifact: Artifact, worker: Worker) -> Measurement:
    return Measurement(
        artifact=artifact.file,
        runtime=worker.job.runtime.name,
        threads=THREADS,
        bytes=artifact.bytes,
        **{stage: round(milliseconds, 3) for stage, milliseconds in worker.cold.items()},
        latency=summarise(worker.times),
    )


@contextlib.contextmanager
def _workers(jobs: list[Job]) -> Iterator[list[Worker]]:
    """Start a worker for each job; none outlives the block."""
    workers: list[Worker] = []
    try:
        for job in jobs:
            name = f"the worker for {job.artifact.name} on {job.runtime.name}"
            worker = Worker(job, Child("mnistkit_bench.worker", name, "see whether 'mnistkit verify' runs it"))
            workers.append(worker)
            worker.child.send(
                {
                    "artifact": str(job.artifact),
                    "runtime": job.runtime.name,
                    "threads": THREADS,
                    "test_set": str(job.test_set),
                }
            )
        yield workers
    finally:
        for worker in workers:
            worker.child.close()
