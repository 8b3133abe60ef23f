"""What is measured, and the runner's end of the process that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistkit import records
from mnistkit.children import Child, Message
from mnistkit.errors import WorkerError
from mnistkit.runtimes import Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATIENCE_SECONDS = 60.0  # beyond what a worker was asked for, before it counts as hung


@dataclass(frozen=True)
class Job:
    """An artifact to be measured on a runtime, with the images of a test set in turn."""

    artifact: Path
    runtime: Runtime
    test_set: Path
    threads: int = 1


@dataclass(frozen=True)
class ColdStart:
    """What a worker tells first, in milliseconds."""

    import_ms: float
    load_ms: float
    first_ms: float


@dataclass(frozen=True)
class Usage:
    """What a worker tells with each run."""

    yardstick: int  # nanoseconds of a fixed piece of work
    cpu: float  # seconds that the process has used so far
    resident_bytes: int
    peak_bytes: int


class Worker:
    """A worker process, and what it has answered so far."""

    def __init__(self, job: Job) -> None:
        name = f"the worker for {job.artifact.name} on {job.runtime.name}"
        self.job = job
        self.child = Child("mnistkit_bench.worker", name, "see whether 'mnistkit verify' runs it")
        self.cold = ColdStart(0.0, 0.0, 0.0)
        self.usage = Usage(0, 0.0, 0, 0)
        self.warm_up_seconds = 0.0
        self.steady = False
        self.rounds: list[NDArray[np.int64]] = []  # nanoseconds
        self.end_to_end: list[NDArray[np.int64]] = []
        self.yardsticks: list[int] = []
        self.failure: WorkerError | None = None

    @property
    def times(self) -> list[int]:
        """Nanoseconds, of all rounds; raises WorkerError where the worker failed."""
        if self.failure:
            raise self.failure
        return [time for each in self.rounds for time in each.tolist()]

    @property
    def samples(self) -> int:
        """How many times it has given."""
        return sum(map(len, self.rounds))

    def start(self) -> None:
        """Have it open the artifact; raises WorkerError."""
        job = self.job
        request: Message = {"runtime": job.runtime.name, "threads": job.threads}
        self.child.send({**request, "artifact": str(job.artifact), "test_set": str(job.test_set)})
        self.cold = self._decoded(ColdStart, self.child.answer(PATIENCE_SECONDS))

    def run(self, what: str, seconds: float) -> NDArray[np.int64]:
        """One round of "latency" or "end_to_end": its nanoseconds; raises WorkerError."""
        import numpy as np

        self.child.send({"what": what, "seconds": seconds})
        answer = self.child.answer(seconds + PATIENCE_SECONDS)
        try:
            times = np.array(answer.pop("nanoseconds", []), np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            raise self.child.failure("answered nonsense, no times") from error
        if times.ndim != 1 or times.min(initial=0 if times.size == 0 else 1) < 1:
            raise self.child.failure("answered nonsense, no times")
        self.usage = self._decoded(Usage, answer)
        self.yardsticks.append(self.usage.yardstick)
        return times

    def _decoded(self, kind: Any, answer: Message) -> Any:
        try:
            return records.decode(kind, answer, "")
        except ValueError as error:
            raise self.child.failure(f"answered nonsense: {error}") from error
