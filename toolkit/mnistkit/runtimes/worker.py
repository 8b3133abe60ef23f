"""The worker process of mnistkit.runtimes.isolation: `python -m mnistkit.runtimes.worker`."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from mnistkit.core.errors import MnistkitError
from mnistkit.core.images import FileImages, Images
from mnistkit.core.processes import Message, worker_channel
from mnistkit.runtimes import RUNTIMES
from mnistkit.runtimes.inference import predict

REPORT_SECONDS = 0.1  # between progress messages

Send = Callable[[Message], None]


class ProgressReporter:
    """Sends the number of images done, at most one message in REPORT_SECONDS. Thread-safe."""

    def __init__(self, send: Send) -> None:
        self._send, self._lock = send, threading.Lock()
        self._done, self._sent = 0.0, time.perf_counter()

    def __call__(self, amount: float) -> None:
        """Count `amount` images as done."""
        with self._lock:
            self._done += amount
            if time.perf_counter() > self._sent + REPORT_SECONDS:
                self._send({"done": self._done})
                self._done, self._sent = 0.0, time.perf_counter()


def main() -> None:
    """Run jobs until the parent closes standard input."""
    with worker_channel() as (jobs, send):
        for job in jobs:
            try:
                send(_run(job, send))
            except MnistkitError as error:  # not sent as "error", because the worker goes on
                send({"problem": error.problem, "remedy": error.remedy})


def _run(job: Message, send: Send) -> Message:
    """Import the runtime of a job and run its artifact, if it has one."""
    runtime = RUNTIMES[job["runtime"]]
    runtime.preload()
    if "artifact" not in job:
        return {"imported": True}
    images: Images = FileImages(Path(job["images"]), tuple(job["shape"]))
    first, end = job["part"]
    if end - first < len(images):
        images = images[first:end]
    started = time.perf_counter()
    artifact, trust_code = Path(job["artifact"]), job["trust_code"]
    probabilities = predict(runtime, artifact, images, ProgressReporter(send), job["batch"], trust_code=trust_code)
    seconds = time.perf_counter() - started
    Path(job["probabilities"]).write_bytes(probabilities.tobytes())
    return {"seconds": seconds}


if __name__ == "__main__":
    main()
