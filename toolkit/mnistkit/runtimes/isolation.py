"""Runtimes in a process of their own: one that dies of an illegal instruction, or hangs, is an error and no more."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mnistkit.core import files
from mnistkit.core.errors import WorkerError
from mnistkit.core.processes import WorkerProcess
from mnistkit.runtimes import Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORKER = "mnistkit.runtimes.worker"
TIMEOUT_SECONDS = 120.0  # without a sign of life


def load(runtime: Runtime) -> None:
    """Import a runtime, in a process of its own; raises WorkerError where it fails, dies or hangs."""
    worker = WorkerProcess(WORKER, runtime.name, runtime.remedy)
    try:
        worker.send({"runtime": runtime.name})
        answer = worker.receive(TIMEOUT_SECONDS)
    finally:
        worker.close()
    if "failed" in answer:
        raise WorkerError(answer["failed"], answer["remedy"])


class Isolation:
    """Runs artifacts on the same images, each runtime in one process for as long as that lives."""

    def __init__(self, folder: Path, images: NDArray[np.uint8], classes: int) -> None:
        self._images, self._answers = folder / "images", folder / "answers"
        import numpy as np

        self._shape, self._classes = images.shape, classes
        self._runtime: Runtime | None = None
        self._worker: WorkerProcess | None = None
        self._images.write_bytes(np.ascontiguousarray(images).data)

    def predict(
        self, runtime: Runtime, artifact: Path, batch: int, advance: Callable[[float], None]
    ) -> tuple[NDArray[np.float32], float]:
        """The artifact's probabilities, float32 [N, classes], of the images, and the seconds that they took.

        The seconds hold opening it, and no imports. Raises WorkerError where the runtime fails, dies or hangs.
        """
        import numpy as np

        worker = self._worker_for(runtime)
        job = {"runtime": runtime.name, "artifact": str(artifact), "batch": batch}
        worker.send({**job, "images": str(self._images), "shape": self._shape, "answers": str(self._answers)})
        try:
            while "done" in (answer := worker.receive(TIMEOUT_SECONDS)):
                advance(answer["done"])
        except WorkerError:
            self.close()  # for the next artifact there will be a new one
            raise
        if "failed" in answer:
            raise WorkerError(answer["failed"], answer["remedy"])
        answers = np.frombuffer(files.read_bytes(self._answers), np.float32)
        if answers.size != self._shape[0] * self._classes:
            raise WorkerError(
                f"{runtime.name} gave {answers.size:,} values for {self._shape[0]:,} images of {self._classes} classes",
                "export the model again",
            )
        return answers.reshape(-1, self._classes), answer["seconds"]

    def close(self) -> None:
        """End the process, where there is one."""
        if self._worker:
            self._worker.close()
        self._worker = None

    def _worker_for(self, runtime: Runtime) -> WorkerProcess:
        if self._runtime is not runtime:
            self.close()
        if not self._worker:
            self._worker = WorkerProcess(WORKER, runtime.name, runtime.remedy)
        self._runtime = runtime
        return self._worker


@contextlib.contextmanager
def isolation(images: NDArray[np.uint8], classes: int) -> Iterator[Isolation]:
    """An Isolation for raw images [N, height, width, channels]; nothing of it outlives the block."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        opened = Isolation(Path(folder), images, classes)
        try:
            yield opened
        finally:
            opened.close()
