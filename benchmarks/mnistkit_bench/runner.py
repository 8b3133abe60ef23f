"""Measures artifacts, each in a worker process of its own, in short rounds in turn.

All workers are alive at the same time, so interference slows all artifacts alike. Each artifact is measured in several
processes, one after the other: its latency differs by some percent between processes, because of their memory layout.
The number of processes follows from that difference.
"""

import contextlib
import math
import random
import time
from collections.abc import Callable

from mnistkit.core.errors import WorkerError
from mnistkit.core.progress import SILENT, Progress
from mnistkit_bench.jobs import Job, JobResult, SamplingOptions, Worker
from mnistkit_bench.monitor import SystemMonitor
from mnistkit_bench.statistics import MIN_PROCESSES

ROUND_SECONDS = 0.02
END_TO_END_SECONDS = 0.005  # of each round, in addition
AUTOMATIC_PROCESSES = 4, 8  # the fewest and the most
WARM_UP_MAX_ROUNDS = 100
STEADY_ROUNDS = 3  # number of rounds in a row that make a steady state …
STEADY_TOLERANCE = 0.03  # … if their 10th percentiles differ by at most this fraction


def measure(
    jobs: list[Job], sampling: SamplingOptions, progress: Progress = SILENT
) -> tuple[list[JobResult], SystemMonitor]:
    """Measure the jobs in turn, in short rounds and random order.

    A job whose p50 has no CI at the end, for lack of idle samples, is measured once more.
    """
    results, monitor = [JobResult(job) for job in jobs], SystemMonitor()
    minimum, maximum = (sampling.processes,) * 2 if sampling.processes else AUTOMATIC_PROCESSES
    count_samples = sampling.samples is not None
    target = math.ceil((sampling.samples or sampling.seconds / ROUND_SECONDS) / minimum)

    def measure_processes(name: str, of: list[JobResult]) -> None:
        with progress.task(name, target) as advance, contextlib.ExitStack() as stack:
            workers = _start_workers(of, stack)
            with monitor.measure_background(workers):
                _measure_rounds(workers, target, monitor, advance, count_samples=count_samples)

    number = 0
    while unfinished := [result for result in results if result.needs_process(minimum, maximum)]:
        number += 1
        purpose = f" of {minimum}" if number <= minimum else ", of artifacts that vary between processes"
        measure_processes(f"measuring, process {number}{purpose}", unfinished)
    if minimum >= MIN_PROCESSES and (unknown := [result for result in results if result.is_unknown()]):
        for number in range(minimum):
            measure_processes(f"measuring again, process {number + 1} of {minimum}", unknown)
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
    """Measure until there are `target` rounds, or `target` idle samples of each worker, or no worker is left."""
    rounds = done = 0
    order = random.Random(len(workers))  # noqa: S311
    while done < target:
        for worker in order.sample(workers, len(workers)):  # no artifact always runs after the same other one
            _attempt(worker, _measure_round)
        monitor.record_state()
        rounds += 1
        running = [worker for worker in workers if not worker.failure]
        if not running:
            advance(target - done)
            return
        reached = min(worker.count_idle() for worker in running) if count_samples else rounds
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
        samples = sorted(worker.run(worker.job.measure, ROUND_SECONDS).nanoseconds.tolist())
        percentiles.append(samples[len(samples) // 10])
        last = percentiles[-STEADY_ROUNDS:]
        worker.is_steady = len(last) == STEADY_ROUNDS and max(last) <= (1 + STEADY_TOLERANCE) * min(last)
    if worker.job.measure == "latency":
        worker.run("end_to_end", END_TO_END_SECONDS)
    worker.warm_up_seconds = time.monotonic() - started


def _measure_round(worker: Worker) -> None:
    worker.rounds.append(worker.run(worker.job.measure, ROUND_SECONDS))
    if worker.job.measure == "latency":
        worker.end_to_end.append(worker.run("end_to_end", END_TO_END_SECONDS))
