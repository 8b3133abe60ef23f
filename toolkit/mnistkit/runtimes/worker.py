"""The process that a runtime runs in, image by image: `python -m mnistkit.runtimes.worker`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnistkit.core import processes
from mnistkit.core.errors import MnistkitError
from mnistkit.runtimes import RUNTIMES
from mnistkit.runtimes.inference import predict

REPORT_SECONDS = 0.1  # between two lines on how far it has come


def main() -> None:
    """Serve one parent until it closes standard input."""
    with processes.worker_channel() as (requests, reply):
        for job in requests:
            try:
                reply(_do(job, reply))
            except MnistkitError as error:  # the next job may go better
                reply({"failed": error.problem, "remedy": error.remedy})


def _do(job: dict[str, Any], reply: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    import numpy as np

    runtime = RUNTIMES[job["runtime"]]
    runtime.preload()
    if "artifact" not in job:
        return {"loads": True}
    images = np.memmap(job["images"], np.uint8, "r", shape=tuple(job["shape"]))
    started = time.perf_counter()
    answers = predict(runtime, Path(job["artifact"]), images, ProgressReporter(reply), job["batch"])
    seconds = time.perf_counter() - started
    Path(job["answers"]).write_bytes(answers.tobytes())
    return {"seconds": seconds}


class ProgressReporter:
    """Sums up how many images are done, and tells it now and then."""

    def __init__(self, reply: Callable[[dict[str, Any]], None]) -> None:
        self._reply, self._lock = reply, threading.Lock()
        self._done, self._told = 0.0, time.perf_counter()

    def __call__(self, amount: float) -> None:
        with self._lock:
            self._done += amount
            if time.perf_counter() > self._told + REPORT_SECONDS:
                self._reply({"done": self._done})
                self._done, self._told = 0.0, time.perf_counter()


if __name__ == "__main__":
    main()
