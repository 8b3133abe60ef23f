"""Measures a bundle's artifacts, each in a process of its own, all alive side by side, in short rounds in turn.

So whatever slows the machine for a while slows all of them alike.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from mnistkit.bundle import Artifact, Bundle
from mnistkit.errors import BenchError, WorkerError
from mnistkit.machine import State, state, this_machine
from mnistkit.progress import SILENT, Progress
from mnistkit.runtimes import pair, runtime_versions, without_runtime
from mnistkit_bench import taint
from mnistkit_bench.jobs import Job, Worker
from mnistkit_bench.results import BenchReport, Failure, Measurement
from mnistkit_bench.rounds import pack, undisturbed
from mnistkit_bench.statistics import summarise

ROUND_SECONDS = 0.02
END_TO_END_SECONDS = 0.005  # of each round besides
WARM_UP_ROUND_SECONDS = 0.05
WARM_UP_MOST = 40  # rounds
STEADY = 3  # rounds whose fast times lie within …
STEADY_WITHIN = 0.03  # … this share of each other
STATE_SECONDS = 1.0  # between two looks at the machine


@dataclass(frozen=True)
class Measured:
    """The workers, and how the machine was meanwhile."""

    workers: list[Worker]
    states: tuple[State, ...]
    others: float  # cores that other programs used


def bench(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    seconds: float,
    samples: int | None = None,
    threads: tuple[int, ...] = (1,),
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure every artifact on each runtime of devices for its format, or on those named, with each number of threads.

    Until `seconds` have been measured of each, or `samples`. One that fails is told in the report. Raises
    MissingExtraError where a runtime that is named isn't installed, BenchError on an emulated processor.
    """
    machine = this_machine()
    if machine.emulated:
        raise BenchError(
            "this processor is emulated, and the time that takes says nothing of a device", "measure on the device"
        )
    artifacts = bundle.manifest.artifacts
    pairs = pair(artifacts, runtimes, for_devices=True)
    test_set = bundle.file(bundle.manifest.test_set)
    jobs = {
        Job(bundle.file(artifact), runtime, test_set, count): artifact
        for artifact, runtime in pairs
        for count in threads
    }
    measured = measure(list(jobs), seconds, samples, progress)
    done = [worker for worker in measured.workers if not worker.failure]
    with progress.task("summing up", len(done)) as advance:
        measurements = tuple(_measurement(jobs[worker.job], worker, advance) for worker in done)
    skipped = () if runtimes else _skipped(artifacts)
    return BenchReport(
        bundle_sha256=bundle.manifest_sha256,
        machine=machine,
        states=measured.states,
        tainted=tuple(taint.of_machine(measured.states, measured.others)),
        measurements=measurements,
        failures=(*filter(None, map(_failure, measured.workers)), *skipped),
        versions=runtime_versions(),
    )


def measure(jobs: list[Job], seconds: float, samples: int | None = None, progress: Progress = SILENT) -> Measured:
    """Do the jobs side by side in rounds, until `seconds` have been measured of each, or `samples`."""
    with contextlib.ExitStack() as stack:
        workers = []
        with progress.task("starting and warming up", 2 * len(jobs)) as advance:
            for job in jobs:  # one after the other: side by side, they would spoil each other's cold starts
                worker = Worker(job)
                stack.callback(worker.child.close)
                workers.append(worker)
                _attempt(worker, Worker.start)
                advance(1)
            for worker in workers:
                _attempt(worker, _warm_up)
                advance(1)
        states, looked, used, started = [state()], time.monotonic(), taint.busy_seconds(), time.monotonic()
        before = _own_seconds(workers)
        with progress.task("measuring", samples or round(seconds / ROUND_SECONDS)) as advance:
            for _ in _until(workers, seconds, samples, advance):
                for worker in workers:
                    _attempt(worker, _round)
                if time.monotonic() > looked + STATE_SECONDS:
                    states, looked = [*states, state()], time.monotonic()
        own = _own_seconds(workers) - before
        others = max(0.0, taint.busy_seconds() - used - own) / (time.monotonic() - started)
        told = bool(used) and not any(worker.failure for worker in workers)  # what a failed one used, nobody knows
        return Measured(workers, (*states, state()), others if told else 0.0)


def _own_seconds(workers: list[Worker]) -> float:
    """What the workers and this process have worked so far."""
    return time.process_time() + sum(worker.usage.cpu for worker in workers)


def _until(
    workers: list[Worker], seconds: float, samples: int | None, advance: Callable[[float], None]
) -> Iterator[None]:
    """Once a round, for as many as it takes."""
    rounds = done = 0
    wanted = samples or max(1, round(seconds / ROUND_SECONDS))
    while done < wanted:
        yield
        rounds += 1
        alive = [worker for worker in workers if not worker.failure]
        before, done = done, min((worker.samples for worker in alive), default=wanted) if samples else rounds
        advance(done - before)
        if not alive:
            return


def _attempt(worker: Worker, work: Callable[[Worker], None]) -> None:
    """Have a worker work, unless it has failed already; keep why it fails."""
    if worker.failure:
        return
    try:
        work(worker)
    except WorkerError as error:
        worker.failure = error
        worker.child.close()


def _warm_up(worker: Worker) -> None:
    """Until the fast times of the last rounds are alike: where something slows the processor, they show it least."""
    started = time.monotonic()
    fast: list[int] = []
    while not worker.steady and len(fast) < WARM_UP_MOST:
        times = sorted(worker.run("latency", WARM_UP_ROUND_SECONDS).times.tolist())
        fast.append(times[len(times) // 10])
        last = fast[-STEADY:]
        worker.steady = len(last) == STEADY and max(last) <= (1 + STEADY_WITHIN) * min(last)
    worker.run("end_to_end", WARM_UP_ROUND_SECONDS)
    worker.warm_up_seconds = time.monotonic() - started


def _round(worker: Worker) -> None:
    worker.rounds.append(worker.run("latency", ROUND_SECONDS))
    worker.end_to_end.append(worker.run("end_to_end", END_TO_END_SECONDS))


def _measurement(artifact: Artifact, worker: Worker, advance: Callable[[float], None]) -> Measurement:
    times, share = undisturbed(worker.rounds)
    latency, runtime, cold, usage = summarise(times), worker.job.runtime, worker.cold, worker.usage
    advance(1)
    return Measurement(
        artifact=artifact.file,
        runtime=runtime.name,
        threads=worker.job.threads,
        bytes=artifact.bytes,
        package_bytes=package_bytes(runtime.distribution),
        import_ms=round(cold.import_ms, 3),
        load_ms=round(cold.load_ms, 3),
        first_ms=round(cold.first_ms, 3),
        resident_bytes=usage.resident_bytes,
        peak_bytes=usage.peak_bytes,
        warm_up_seconds=round(worker.warm_up_seconds, 3),
        latency=latency,
        undisturbed=round(share, 4),
        end_to_end=summarise(undisturbed(worker.end_to_end)[0]),
        tainted=tuple(taint.of_row(latency, share, steady=worker.steady)),
        raw=pack(worker.rounds),
    )


def package_bytes(distribution: str) -> int:
    """What an installed package takes on the disk; 0 where nothing is known."""
    try:
        listed = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        return 0
    return sum(file.size or 0 for file in listed)


def _failure(worker: Worker) -> Failure | None:
    error, job = worker.failure, worker.job
    if not error:
        return None
    return Failure(job.artifact.name, job.runtime.name, job.threads, error.problem, error.remedy, skipped=False)


def _skipped(artifacts: tuple[Artifact, ...]) -> Iterator[Failure]:
    for artifact, runtime in without_runtime(artifacts, for_devices=True):
        yield Failure(artifact.file, runtime.name, 1, "it is not installed", runtime.install, skipped=True)
