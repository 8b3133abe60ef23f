"""Runs runtimes in worker processes: if a runtime crashes or hangs, it is a WorkerError and the command goes on."""

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

    from mnistkit.core.images import Images

WORKER = "mnistkit.runtimes.worker"
ALL = slice(None)
TIMEOUT_SECONDS = 120.0  # until the next message of a worker


def load(runtime: Runtime) -> None:
    """Import a runtime in a worker process; raises WorkerError if that fails, crashes or hangs."""
    worker = WorkerProcess(WORKER, runtime.name, runtime.remedy)
    try:
        worker.send({"runtime": runtime.name})
        message = worker.receive(TIMEOUT_SECONDS)
    finally:
        worker.close()
    if "problem" in message:
        raise WorkerError(message["problem"], message["remedy"])


class Isolation:
    """Runs artifacts on the same images in worker processes, which stay alive until the runtime changes.

    Images and probabilities are exchanged with the workers through files in `folder`.
    """

    def __init__(self, folder: Path, images: Images, classes: int, *, trust_code: bool) -> None:
        from mnistkit.core.images import FileImages, chunks

        self._probabilities_file = folder / "probabilities"
        self._shape, self._classes, self._trust_code = images.shape, classes, trust_code
        self._images_file = images.path if isinstance(images, FileImages) else folder / "images"
        if not isinstance(images, FileImages):
            with self._images_file.open("wb") as file:
                for chunk in chunks(images):
                    file.write(chunk.tobytes())
        self._runtime: Runtime | None = None
        self._worker: WorkerProcess | None = None

    def predict(
        self, runtime: Runtime, artifact: Path, batch: int, advance: Callable[[float], None], part: slice = ALL
    ) -> tuple[NDArray[np.float32], float]:
        """The artifact's probabilities, float32 [N, classes], and the seconds to open it and classify the images.

        `part`, a slice without a step, selects images. The seconds do not include imports. Calls `advance` with the
        number of images done since the last call. Raises WorkerError if the runtime fails, crashes or hangs.
        """
        import numpy as np

        worker = self._start_worker(runtime)
        first, end, _ = part.indices(self._shape[0])
        worker.send(
            {
                "runtime": runtime.name,
                "artifact": str(artifact),
                "trust_code": self._trust_code,
                "batch": batch,
                "images": str(self._images_file),
                "shape": self._shape,
                "part": [first, end],
                "probabilities": str(self._probabilities_file),
            }
        )
        try:
            while "done" in (message := worker.receive(TIMEOUT_SECONDS)):
                advance(message["done"])
        except WorkerError:
            self.close()  # the next artifact gets a new worker
            raise
        if "problem" in message:
            raise WorkerError(message["problem"], message["remedy"])
        probabilities = np.frombuffer(files.read_bytes(self._probabilities_file), np.float32)
        images, classes = end - first, self._classes
        if probabilities.size != images * classes:
            raise WorkerError(
                f"{runtime.name} returned {probabilities.size:,} values for {images:,} images of {classes} classes",
                "export the model again",
            )
        return probabilities.reshape(-1, classes), message["seconds"]

    def close(self) -> None:
        """Stop the worker."""
        if self._worker:
            self._worker.close()
        self._worker = None

    def _start_worker(self, runtime: Runtime) -> WorkerProcess:
        """The worker of a runtime; starts it, and stops that of another runtime, if needed."""
        if self._runtime is not runtime:
            self.close()
        if not self._worker:
            self._worker = WorkerProcess(WORKER, runtime.name, runtime.remedy)
        self._runtime = runtime
        return self._worker


@contextlib.contextmanager
def isolation(images: Images, classes: int, *, trust_code: bool = False) -> Iterator[Isolation]:
    """An Isolation for raw images [N, height, width, channels]; stops its worker and deletes its files at the end.

    With `trust_code`, it runs code that was made on another machine.
    """
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        isolated = Isolation(Path(folder), images, classes, trust_code=trust_code)
        try:
            yield isolated
        finally:
            isolated.close()
