"""Measures a bundle's artifacts, each in processes of its own, all alive side by side, in short rounds in turn.

So whatever slows the machine for a while slows all of them alike. Each has several processes, one after the other: the
same artifact is some percent faster in one than in another, by where it lies in memory.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

from mnistkit.bench_report import BenchReport, Failure, Measurement
from mnistkit.bundle import Artifact, Bundle
from mnistkit.core.errors import BenchError, WorkerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device.machine import this_machine
from mnistkit.runtimes import artifacts_without_runtime, match_runtimes, runtime_versions
from mnistkit_bench import reliability
from mnistkit_bench.jobs import Job, JobResult, SamplingOptions, Worker
from mnistkit_bench.monitor import SystemMonitor
from mnistkit_bench.samples import accepted, pack
from mnistkit_bench.statistics import summarize

ROUND_SECONDS = 0.02
END_TO_END_SECONDS = 0.005  # of each round besides
WARM_UP_MOST = 100  # rounds
STEADY = 3  # rounds whose fast times lie within …
STEADY_WITHIN = 0.03  # … this share of each other


def bench(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    amount: SamplingOptions,
    threads: tuple[int, ...] = (1,),
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure every artifact on each runtime of devices for its format, or on those named, with each number of threads.

    One that fails is told in the report. Raises MissingExtraError where a runtime that is named isn't installed,
    BenchError on an emulated processor.
    """
    machine = this_machine()
    if machine.emulated:
        raise BenchError(
            "this processor is emulated, and the time that takes says nothing of a device", "measure on the device"
        )
    artifacts = bundle.manifest.artifacts
    pairs = match_runtimes(artifacts, runtimes, for_devices=True)
    test_set = bundle.file(bundle.manifest.test_set)
    jobs = {
        Job(bundle.file(artifact), runtime, test_set, count): artifact
        for artifact, runtime in pairs
        for count in threads
    }
    rows, watch = measure(list(jobs), amount, progress)
    done = [row for row in rows if not row.failure]
    with progress.task("summing up", len(done)) as advance:
        measurements = tuple(_measurement(jobs[row.job], row, advance) for row in done)
    skipped = () if runtimes else _skipped(artifacts)
    return BenchReport(
        bundle_sha256=bundle.manifest_sha256,
        machine=machine,
        states=tuple(watch.states),
        unstable=tuple(reliability.machine_warnings(watch.states, watch.background_load)),
        measurements=measurements,
        failures=(*filter(None, map(_failure, rows)), *skipped),
        versions=runtime_versions(),
    )


def measure(
    jobs: list[Job], amount: SamplingOptions, progress: Progress = SILENT
) -> tuple[list[JobResult], SystemMonitor]:
    """Do the jobs side by side in rounds, so much of each."""
    rows, watch = [JobResult(job) for job in jobs], SystemMonitor()
    wanted = math.ceil((amount.samples or amount.seconds / ROUND_SECONDS) / amount.processes)
    for number in range(amount.processes):
        with (
            progress.task(f"measuring, process {number + 1} of {amount.processes}", wanted) as advance,
            contextlib.ExitStack() as stack,
        ):
            workers = _started([row for row in rows if not row.failure], stack)
            with watch.over(workers):
                for _ in _until(workers, wanted, advance, count_samples=amount.samples is not None):
                    for worker in workers:
                        _attempt(worker, _round)
                    watch.look()
    watch.look(now=True)
    return rows, watch


def _started(rows: list[JobResult], stack: contextlib.ExitStack) -> list[Worker]:
    """A new worker for each, warmed up, which the stack closes."""
    workers = []
    for row in rows:  # one after the other: side by side, they would spoil each other's cold starts
        worker = Worker(row.job)
        stack.callback(worker.process.close)
        row.workers.append(worker)
        workers.append(worker)
        _attempt(worker, Worker.start)
    for worker in workers:
        _attempt(worker, _warm_up)
    return workers


def _until(
    workers: list[Worker], wanted: int, advance: Callable[[float], None], *, count_samples: bool
) -> Iterator[None]:
    """Once a round, until there are as many rounds as wanted, or samples of each worker."""
    rounds = done = 0
    while done < wanted:
        yield
        rounds += 1
        alive = [worker for worker in workers if not worker.failure]
        if not alive:
            advance(wanted - done)
            return
        before, done = done, min(wanted, *(worker.samples for worker in alive)) if count_samples else rounds
        advance(done - before)


def _attempt(worker: Worker, work: Callable[[Worker], None]) -> None:
    """Have a worker work, unless it has failed already; keep why it fails."""
    if worker.failure:
        return
    try:
        work(worker)
    except WorkerError as error:
        worker.failure = error
        worker.process.close()


def _warm_up(worker: Worker) -> None:
    """Until the fast times of the last rounds are alike: where something slows the processor, they show it least."""
    started = time.monotonic()
    fast: list[int] = []
    while not worker.steady and len(fast) < WARM_UP_MOST:
        times = sorted(worker.run("latency", ROUND_SECONDS).times.tolist())
        fast.append(times[len(times) // 10])
        last = fast[-STEADY:]
        worker.steady = len(last) == STEADY and max(last) <= (1 + STEADY_WITHIN) * min(last)
    worker.run("end_to_end", END_TO_END_SECONDS)
    worker.warm_up_seconds = time.monotonic() - started


def _round(worker: Worker) -> None:
    worker.rounds.append(worker.run("latency", ROUND_SECONDS))
    worker.end_to_end.append(worker.run("end_to_end", END_TO_END_SECONDS))


def _measurement(artifact: Artifact, row: JobResult, advance: Callable[[float], None]) -> Measurement:
    workers, runtime, raw = row.workers, row.job.runtime, [worker.rounds for worker in row.workers]
    times, share = accepted(raw)
    latency = summarize(times)
    advance(1)
    return Measurement(
        artifact=artifact.file,
        runtime=runtime.name,
        threads=row.job.threads,
        bytes=artifact.bytes,
        package_bytes=package_bytes(runtime.distribution),
        import_ms=_median(worker.cold.import_ms for worker in workers),
        load_ms=_median(worker.cold.load_ms for worker in workers),
        first_ms=_median(worker.cold.first_ms for worker in workers),
        resident_bytes=max(worker.usage.resident_bytes for worker in workers),
        peak_bytes=max(worker.usage.peak_bytes for worker in workers),
        warm_up_seconds=_median(worker.warm_up_seconds for worker in workers),
        accepted_fraction=round(share, 4),
        latency=latency,
        end_to_end=summarize(accepted([worker.end_to_end for worker in workers])[0]),
        unstable=tuple(
            reliability.measurement_warnings(latency, share, steady=all(worker.steady for worker in workers))
        ),
        raw=pack(raw),
    )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def package_bytes(distribution: str) -> int:
    """What an installed package takes on the disk; 0 where nothing is known."""
    try:
        listed = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        return 0
    return sum(file.size or 0 for file in listed)


def _failure(row: JobResult) -> Failure | None:
    error, job = row.failure, row.job
    if not error:
        return None
    return Failure(job.artifact.name, job.runtime.name, job.threads, error.problem, error.remedy, skipped=False)


def _skipped(artifacts: tuple[Artifact, ...]) -> Iterator[Failure]:
    for artifact, runtime in artifacts_without_runtime(artifacts, for_devices=True):
        yield Failure(artifact.file, runtime.name, 1, "it is not installed", runtime.install_command, skipped=True)
