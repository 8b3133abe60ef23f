"""Runs one artifact on many images, on all cores."""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnistkit.core.errors import SessionError, one_line
from mnistkit.core.images import Images
from mnistkit.runtimes import Runtime, Session

# The fastest for 10,000 images: one single-threaded session for each core and batches of 16 to 32.
BATCH = 16


def predict(
    runtime: Runtime,
    artifact: Path,
    images: Images,
    advance: Callable[[float], None],
    batch: int = BATCH,
    *,
    trust_code: bool = False,
) -> NDArray[np.float32]:
    """The artifact's probabilities, float32 [N, classes], for raw images [N, height, width, channels].

    An artifact that was exported with a fixed batch size keeps that instead of `batch`. Calls `advance` with the number
    of images of each batch. Raises the errors of `Runtime.open`, and SessionError if the artifact fails on the images.
    """
    threads = min(_available_cores(), -(-len(images) // batch))
    sessions = [runtime.open(artifact, batch, trust_code=trust_code) for _ in range(threads)]
    bounds = [len(images) * i // threads for i in range(threads + 1)]
    shares = list(itertools.starmap(range, itertools.pairwise(bounds)))
    with session_errors(runtime), ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(run, sessions, [images] * threads, shares, [advance] * threads)))


@contextmanager
def session_errors(runtime: Runtime) -> Iterator[None]:
    """Raise the exceptions of a running session as SessionError."""
    try:
        yield
    except Exception as error:  # each runtime has exceptions of its own
        reason = one_line(error, 200)
        raise SessionError(f"{runtime.name} cannot run the artifact: {reason}", runtime.remedy) from error


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batch_size(quantization: str) -> int:
    """The batch size for many images."""
    # Dynamic quantization computes its ranges over a batch: only batch 1 predicts as a board does.
    return 1 if quantization == "dynamic" else BATCH


def run(session: Session, images: Images, share: range, advance: Callable[[float], None]) -> NDArray[np.float32]:
    """The probabilities, float32 [N, classes], of the images at the indices in `share`, which are consecutive."""
    probabilities = []
    for start in share[:: session.batch]:
        batch = images[start : min(start + session.batch, share.stop)]
        padding = session.batch - len(batch)  # sessions accept only full batches
        session.load(np.pad(batch, ((0, padding), (0, 0), (0, 0), (0, 0))) if padding else batch)
        session.run()
        probabilities.append(session.read()[: len(batch)])
        advance(len(batch))
    return np.concatenate(probabilities)
