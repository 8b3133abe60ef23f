"""Jobs, and the workers that measure them, as the runner sees them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnistkit.core import records
from mnistkit.core.errors import WorkerError, one_line
from mnistkit.core.processes import Message, WorkerProcess
from mnistkit.runtimes import Runtime
from mnistkit_bench.samples import Round, RoundsByProcess, count, idle_samples
from mnistkit_bench.statistics import MIN_ROUNDS, required_processes, summarize, too_few

Measure = Literal["latency", "end_to_end", "throughput"]
TIMEOUT_SECONDS = 60.0  # for a reply, beyond the requested measuring time


@dataclass(frozen=True)
class Job:
    """An artifact to measure on a runtime, on the images of a test set in turn."""

    artifact: Path
    runtime: Runtime
    test_set: Path
    threads: int = 1
    batch: int = 1
    parallel: int = 1  # sessions side by side
    measure: Measure = "latency"
    cpu: int | None = None  # core to run on; None: the kernel chooses
    trust_code: bool = False  # run code that was made on another machine
    module: str = "mnistkit_bench.worker"  # of the worker process


@dataclass(frozen=True)
class SamplingOptions:
    """How much to measure of each job."""

    seconds: float
    samples: int | None = None  # number of idle samples to reach, instead of `seconds`
    processes: int | None = None  # one after the other; None: as many as the variance between them requires


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

    def count_idle(self) -> int:
        """The number of idle samples if enough rounds have any, else 0; but at least a tenth of all samples.

        The tenth lets a measurement end on a machine where hardly any sample is idle.
        """
        if not self.rounds:
            return 0
        minimum = count(round_.nanoseconds for round_ in self.rounds) // 10
        idle = [samples for process in idle_samples([self.rounds]) for samples in process]
        return max(minimum, count(idle)) if len(idle) >= MIN_ROUNDS else minimum

    def start(self) -> None:
        """Open the artifact; raises WorkerError."""
        job = self.job
        paths = {"artifact": str(job.artifact), "test_set": str(job.test_set)}
        settings = {"threads": job.threads, "batch": job.batch, "parallel": job.parallel, "cpu": job.cpu}
        runtime = {"runtime": job.runtime.name, "trust_code": job.trust_code}
        self.process.send({**runtime, **settings, **paths})
        self.cold_start = self._decode(ColdStart, self.process.receive(TIMEOUT_SECONDS))

    def run(self, measure: Measure, seconds: float) -> Round:
        """Measure one round; raises WorkerError."""
        self.process.send({"measure": measure, "seconds": seconds})
        reply = self.process.receive(seconds + TIMEOUT_SECONDS)
        fields = "nanoseconds", "batches", "switches", "probes"
        try:
            round_ = Round(*(np.array(reply.pop(key), np.int64) for key in fields))
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

    @property
    def rounds(self) -> RoundsByProcess:
        """The rounds of all workers."""
        return [worker.rounds for worker in self.workers]

    def median_latency(self) -> float:
        """The idle p50 in microseconds; raises WorkerError if a worker failed."""
        if self.failure:
            raise self.failure
        return summarize(self.rounds).idle.p50

    def needs_process(self, minimum: int, maximum: int) -> bool:
        """Whether another process is needed for a precise p50, after at least `minimum` and within `maximum`."""
        done = len(self.workers)
        if self.failure or done < minimum or done >= maximum:
            return not self.failure and done < minimum
        return self.job.measure == "latency" and done < required_processes(idle_samples(self.rounds))

    def is_unknown(self) -> bool:
        """Whether the idle p50 has no confidence interval, for lack of idle samples."""
        return not self.failure and self.job.measure == "latency" and too_few(idle_samples(self.rounds))
