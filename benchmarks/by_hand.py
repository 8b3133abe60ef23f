"""The loop around an interpreter that somebody would write by hand, as a worker that stands in `bench`'s rounds."""

from __future__ import annotations

import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mnistkit.core.processes import worker_channel
from mnistkit_bench.worker import in_batches


def main() -> None:
    """Serve one runner."""
    with worker_channel() as (requests, reply):
        job = next(requests)
        images = np.load(job["test_set"])["images"][:1000, None]
        interpreter = Interpreter(job["artifact"], num_threads=1)
        interpreter.allocate_tensors()
        index = interpreter.get_input_details()[0]["index"]
        reply({"import_ms": 0.0, "load_ms": 0.0, "first_ms": 0.0})
        turn = 0

        def loop(end: int) -> list[int]:
            nonlocal turn
            times = []
            while True:
                interpreter.set_tensor(index, images[turn % 1000])
                turn += 1
                started = time.perf_counter_ns()
                interpreter.invoke()
                times.append(time.perf_counter_ns() - started)
                if time.perf_counter_ns() >= end:
                    return times

        for request in requests:
            reply(in_batches(loop, request["seconds"]))


if __name__ == "__main__":
    main()
