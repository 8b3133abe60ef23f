"""What is measured, and the runner's end of the process that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistkit.core import records
from mnistkit.core.errors import WorkerError
from mnistkit.core.processes import Message, WorkerProcess
from mnistkit.runtimes import Runtime
from mnistkit_bench.samples import Round, accepted, limit
from mnistkit_bench.statistics import MIN_ROUNDS, summarize

TIMEOUT_SECONDS = 60.0  # beyond what a worker was asked for, before it counts as hung


@dataclass(frozen=True)
class Job:
    """An artifact to be measured on a runtime, with the images of a test set in turn."""

    artifact: Path
    runtime: Runtime
    test_set: Path
    threads: int = 1
    module: str = "mnistkit_bench.worker"  # that does it


@dataclass(frozen=True)
class SamplingOptions:
    """How much is measured of each job."""

    seconds: float
    samples: int | None = None  # instead of the seconds
    processes: int = 4  # one after the other


@dataclass(frozen=True)
class ColdStart:
    """What a worker tells first, in milliseconds."""

    import_ms: float
    load_ms: float
    first_ms: float


@dataclass(frozen=True)
class Usage:
    """What a worker tells with each run."""

    cpu: float  # seconds that the process has used so far
    resident_bytes: int
    peak_bytes: int


class Worker:
    """A worker process, and what it has answered so far."""

    def __init__(self, job: Job) -> None:
        name = f"the worker for {job.artifact.name} on {job.runtime.name}"
        self.job = job
        self.process = WorkerProcess(job.module, name, "see whether 'mnistkit verify' runs it")
        self.cold = ColdStart(0.0, 0.0, 0.0)
        self.usage = Usage(0.0, 0, 0)
        self.warm_up_seconds = 0.0
        self.steady = False
        self.rounds: list[Round] = []
        self.end_to_end: list[Round] = []
        self.failure: WorkerError | None = None

    @property
    def samples(self) -> int:
        """How many times it has given, in enough rounds, that nothing slowed; or a tenth of all if that is more."""
        if not self.rounds:
            return 0
        most = limit(self.rounds)
        fine = [int(each.batches[each.accepted(most)].sum()) for each in self.rounds]
        enough = sum(map(bool, fine)) >= MIN_ROUNDS
        return max(enough * sum(fine), sum(len(each.times) for each in self.rounds) // 10)

    def start(self) -> None:
        """Have it open the artifact; raises WorkerError."""
        job = self.job
        request: Message = {"runtime": job.runtime.name, "threads": job.threads}
        self.process.send({**request, "artifact": str(job.artifact), "test_set": str(job.test_set)})
        self.cold = self._decoded(ColdStart, self.process.receive(TIMEOUT_SECONDS))

    def run(self, what: str, seconds: float) -> Round:
        """One round of "latency" or "end_to_end"; raises WorkerError."""
        import numpy as np

        self.process.send({"what": what, "seconds": seconds})
        answer = self.process.receive(seconds + TIMEOUT_SECONDS)
        try:
            fields = (np.array(answer.pop(name), np.int64) for name in ("nanoseconds", "batches", "yardsticks"))
            measured = Round(*fields)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise self.process.error("answered nonsense, no times") from error
        self.usage = self._decoded(Usage, answer)
        return measured

    def _decoded(self, kind: Any, answer: Message) -> Any:
        try:
            return records.decode(kind, answer, "")
        except ValueError as error:
            raise self.process.error(f"answered nonsense: {error}") from error


class JobResult:
    """A job, and the workers that did it one after the other."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workers: list[Worker] = []

    @property
    def failure(self) -> WorkerError | None:
        """Why it could not be done."""
        return next((worker.failure for worker in self.workers if worker.failure), None)

    @property
    def p50(self) -> float:
        """Microseconds, of the times that nothing slowed; raises WorkerError where a worker failed."""
        if self.failure:
            raise self.failure
        return summarize(accepted([worker.rounds for worker in self.workers])[0]).p50
