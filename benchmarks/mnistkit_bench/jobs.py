"""Jobs, and the workers that measure them, as the runner sees them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistkit.core import records
from mnistkit.core.errors import WorkerError, one_line
from mnistkit.core.processes import Message, WorkerProcess
from mnistkit.runtimes import Runtime
from mnistkit_bench.samples import Round, accepted_samples, probe_limit
from mnistkit_bench.statistics import MIN_ROUNDS, summarize

TIMEOUT_SECONDS = 60.0  # for a reply, beyond the requested measuring time


@dataclass(frozen=True)
class Job:
    """An artifact to measure on a runtime, on the images of a test set in turn."""

    artifact: Path
    runtime: Runtime
    test_set: Path
    threads: int = 1
    module: str = "mnistkit_bench.worker"  # of the worker process


@dataclass(frozen=True)
class SamplingOptions:
    """How much to measure of each job."""

    seconds: float
    samples: int | None = None  # number of accepted samples to reach, instead of `seconds`
    processes: int = 4  # one after the other


@dataclass(frozen=True)
class ColdStart:
    """The first message of a worker, in milliseconds."""

    import_ms: float
    load_ms: float
    first_inference_ms: float


@dataclass(frozen=True)
class Usage:
    """The resources that a worker process has used; part of its reply for each round."""

    cpu_seconds: float
    rss_bytes: int
    peak_rss_bytes: int


class Worker:
    """A worker process and its measurements so far."""

    def __init__(self, job: Job) -> None:
        name = f"the worker for {job.artifact.name} on {job.runtime.name}"
        self.job = job
        self.process = WorkerProcess(job.module, name, "check whether 'mnistkit verify' runs the artifact")
        self.cold_start = ColdStart(0.0, 0.0, 0.0)
        self.usage = Usage(0.0, 0, 0)
        self.warm_up_seconds = 0.0
        self.is_steady = False  # whether the warm-up reached a steady state
        self.rounds: list[Round] = []
        self.end_to_end: list[Round] = []
        self.failure: WorkerError | None = None

    def count_accepted(self) -> int:
        """The number of accepted samples if enough rounds have any, else 0; but at least a tenth of all samples.

        The tenth lets a measurement end on a machine where nearly all samples are excluded.
        """
        if not self.rounds:
            return 0
        limit = probe_limit(self.rounds)
        accepted = [int(round_.batches[round_.accepted_batches(limit)].sum()) for round_ in self.rounds]
        minimum = sum(len(round_.nanoseconds) for round_ in self.rounds) // 10
        if sum(count > 0 for count in accepted) < MIN_ROUNDS:
            return minimum
        return max(minimum, sum(accepted))

    def start(self) -> None:
        """Open the artifact; raises WorkerError."""
        job = self.job
        paths = {"artifact": str(job.artifact), "test_set": str(job.test_set)}
        self.process.send({"runtime": job.runtime.name, "threads": job.threads, **paths})
        self.cold_start = self._decode(ColdStart, self.process.receive(TIMEOUT_SECONDS))

    def run(self, measure: str, seconds: float) -> Round:
        """Measure one round of "latency" or "end_to_end"; raises WorkerError."""
        self.process.send({"measure": measure, "seconds": seconds})
        reply = self.process.receive(seconds + TIMEOUT_SECONDS)
        try:
            round_ = Round(*(np.array(reply.pop(key), np.int64) for key in ("nanoseconds", "batches", "probes")))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise self.process.error(f"sent invalid samples: {one_line(error)}") from error
        self.usage = self._decode(Usage, reply)
        return round_

    def _decode(self, kind: Any, reply: Message) -> Any:
        try:
            return records.decode(kind, reply, "")
        except ValueError as error:
            raise self.process.error(f"sent an invalid message: {error}") from error


class JobResult:
    """A job and the workers that measured it, one after the other."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workers: list[Worker] = []

    @property
    def failure(self) -> WorkerError | None:
        """The error of the worker that failed; None if none failed."""
        return next((worker.failure for worker in self.workers if worker.failure), None)

    def median_latency(self) -> float:
        """The p50 of the accepted samples in microseconds; raises WorkerError if a worker failed."""
        if self.failure:
            raise self.failure
        return summarize(accepted_samples([worker.rounds for worker in self.workers])[0]).p50
