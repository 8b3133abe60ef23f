"""A worker with a plain interpreter loop, which `benchmarks/bench.py` measures in turn with that of `bench`."""

import time
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

from mnistkit import bundle
from mnistkit.core.processes import worker_channel
from mnistkit_bench.worker import IMAGES, measure_round, pin


def main() -> None:
    """Serve one runner until it closes standard input."""
    with worker_channel() as (requests, send):
        job = next(requests)
        pin(job)
        images = bundle.read_first_chunk(Path(job["test_set"]))[:IMAGES, None]
        interpreter = Interpreter(job["artifact"], num_threads=1)
        interpreter.allocate_tensors()
        index = interpreter.get_input_details()[0]["index"]
        send({"import_ms": 0.0, "load_ms": 0.0, "first_inference_ms": 0.0})
        image = 0

        def sample_batch(end: int) -> list[int]:
            nonlocal image
            nanoseconds = []
            while True:
                interpreter.set_tensor(index, images[image % IMAGES])
                image += 1
                started = time.perf_counter_ns()
                interpreter.invoke()
                nanoseconds.append(time.perf_counter_ns() - started)
                if time.perf_counter_ns() >= end:
                    return nanoseconds

        for request in requests:
            send(measure_round(sample_batch, request["seconds"]))


if __name__ == "__main__":
    main()
