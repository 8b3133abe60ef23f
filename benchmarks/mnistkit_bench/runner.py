"""Measures artifacts, each in a worker process of its own, in short rounds in turn.

All workers are alive at the same time, so interference slows all artifacts alike. Each artifact is measured in several
processes, one after the other: its latency differs by some percent between processes, because of their memory layout.
"""

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
from mnistkit_bench.samples import accepted_samples, pack
from mnistkit_bench.statistics import summarize

ROUND_SECONDS = 0.02
END_TO_END_SECONDS = 0.005  # of each round, in addition
WARM_UP_MAX_ROUNDS = 100
STEADY_ROUNDS = 3  # number of rounds in a row that make a steady state …
STEADY_TOLERANCE = 0.03  # … if their 10th percentiles differ by at most this fraction


def bench(
    bundle: Bundle,
    runtimes: tuple[str, ...],
    sampling: SamplingOptions,
    threads: tuple[int, ...] = (1,),
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure the artifacts of a bundle on the named runtimes, or on all installed ones that devices have.

    Measures each of them with each number of `threads`. A failed measurement is part of the report. Raises
    MissingExtraError if a named runtime is not installed, BenchError if the processor is emulated.
    """
    machine = this_machine()
    if machine.emulated:
        raise BenchError("this processor is emulated, so its latencies are meaningless", "measure on the device")
    artifacts = bundle.manifest.artifacts
    pairs = match_runtimes(artifacts, runtimes, for_devices=True)
    test_set = bundle.file(bundle.manifest.test_set)
    jobs = {
        Job(bundle.file(artifact), runtime, test_set, count): artifact
        for artifact, runtime in pairs
        for count in threads
    }
    results, monitor = measure(list(jobs), sampling, progress)
    succeeded = [result for result in results if not result.failure]
    with progress.task("summarizing", len(succeeded)) as advance:
        measurements = tuple(_measurement(jobs[result.job], result, advance) for result in succeeded)
    skipped = () if runtimes else _skipped(artifacts)
    return BenchReport(
        bundle_sha256=bundle.manifest_sha256,
        machine=machine,
        states=tuple(monitor.states),
        unstable=tuple(reliability.machine_warnings(monitor.states, monitor.background_load)),
        measurements=measurements,
        failures=(*_failures(results), *skipped),
        versions=runtime_versions(),
    )


def measure(
    jobs: list[Job], sampling: SamplingOptions, progress: Progress = SILENT
) -> tuple[list[JobResult], SystemMonitor]:
    """Measure the jobs in turn, in short rounds."""
    results, monitor = [JobResult(job) for job in jobs], SystemMonitor()
    count_samples = sampling.samples is not None
    target = math.ceil((sampling.samples or sampling.seconds / ROUND_SECONDS) / sampling.processes)
    for number in range(sampling.processes):
        name = f"measuring, process {number + 1} of {sampling.processes}"
        with progress.task(name, target) as advance, contextlib.ExitStack() as stack:
            workers = _start_workers([result for result in results if not result.failure], stack)
            with monitor.measure_background(workers):
                _measure_rounds(workers, target, monitor, advance, count_samples=count_samples)
    monitor.record_state(force=True)
    return results, monitor


def _start_workers(results: list[JobResult], stack: contextlib.ExitStack) -> list[Worker]:
    """A new worker for each job, warmed up; `stack` closes them."""
    workers = []
    for result in results:  # one after the other, so that no cold start slows another
        worker = Worker(result.job)
        stack.callback(worker.process.close)
        result.workers.append(worker)
        workers.append(worker)
        _attempt(worker, Worker.start)
    for worker in workers:
        _attempt(worker, _warm_up)
    return workers


def _measure_rounds(
    workers: list[Worker], target: int, monitor: SystemMonitor, advance: Callable[[float], None], *, count_samples: bool
) -> None:
    """Measure until there are `target` rounds, or `target` accepted samples of each worker, or no worker is left."""
    rounds = done = 0
    while done < target:
        for worker in workers:
            _attempt(worker, _measure_round)
        monitor.record_state()
        rounds += 1
        running = [worker for worker in workers if not worker.failure]
        if not running:
            advance(target - done)
            return
        reached = min(worker.count_accepted() for worker in running) if count_samples else rounds
        reached = min(target, reached)
        advance(reached - done)
        done = reached


def _attempt(worker: Worker, action: Callable[[Worker], None]) -> None:
    """Run an action of a worker that has not failed yet; if it fails, record the error and close the worker."""
    if worker.failure:
        return
    try:
        action(worker)
    except WorkerError as error:
        worker.failure = error
        worker.process.close()


def _warm_up(worker: Worker) -> None:
    """Measure until the 10th percentiles of the last rounds agree: interference changes low percentiles least."""
    started = time.monotonic()
    percentiles: list[int] = []
    while not worker.is_steady and len(percentiles) < WARM_UP_MAX_ROUNDS:
        samples = sorted(worker.run("latency", ROUND_SECONDS).nanoseconds.tolist())
        percentiles.append(samples[len(samples) // 10])
        last = percentiles[-STEADY_ROUNDS:]
        worker.is_steady = len(last) == STEADY_ROUNDS and max(last) <= (1 + STEADY_TOLERANCE) * min(last)
    worker.run("end_to_end", END_TO_END_SECONDS)
    worker.warm_up_seconds = time.monotonic() - started


def _measure_round(worker: Worker) -> None:
    worker.rounds.append(worker.run("latency", ROUND_SECONDS))
    worker.end_to_end.append(worker.run("end_to_end", END_TO_END_SECONDS))


def _measurement(artifact: Artifact, result: JobResult, advance: Callable[[float], None]) -> Measurement:
    workers, runtime = result.workers, result.job.runtime
    rounds = [worker.rounds for worker in workers]
    samples, fraction = accepted_samples(rounds)
    latency = summarize(samples)
    is_steady = all(worker.is_steady for worker in workers)
    advance(1)
    return Measurement(
        artifact=artifact.file,
        runtime=runtime.name,
        threads=result.job.threads,
        bytes=artifact.bytes,
        package_bytes=package_bytes(runtime.distribution),
        import_ms=_median(worker.cold_start.import_ms for worker in workers),
        load_ms=_median(worker.cold_start.load_ms for worker in workers),
        first_inference_ms=_median(worker.cold_start.first_inference_ms for worker in workers),
        rss_bytes=max(worker.usage.rss_bytes for worker in workers),
        peak_rss_bytes=max(worker.usage.peak_rss_bytes for worker in workers),
        warm_up_seconds=_median(worker.warm_up_seconds for worker in workers),
        accepted_fraction=round(fraction, 4),
        latency=latency,
        end_to_end=summarize(accepted_samples([worker.end_to_end for worker in workers])[0]),
        unstable=tuple(reliability.measurement_warnings(latency, fraction, is_steady=is_steady)),
        raw=pack(rounds),
    )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def package_bytes(distribution: str) -> int:
    """The installed size of a package; 0 if unknown."""
    try:
        listed = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        return 0
    return sum(file.size or 0 for file in listed)


def _failures(results: list[JobResult]) -> Iterator[Failure]:
    for result in results:
        if error := result.failure:
            job = result.job
            yield Failure(job.artifact.name, job.runtime.name, job.threads, error.problem, error.remedy, skipped=False)


def _skipped(artifacts: tuple[Artifact, ...]) -> Iterator[Failure]:
    for artifact, runtime in artifacts_without_runtime(artifacts, for_devices=True):
        yield Failure(artifact.file, runtime.name, 1, "not installed", runtime.install_command, skipped=True)
