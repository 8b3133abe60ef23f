"""The worker process of `diagnose`, for a corrupt artifact may crash its runtime: `python -m …diagnose_worker`."""

from dataclasses import asdict
from pathlib import Path

from mnistkit.core import files
from mnistkit.core.images import FileImages
from mnistkit.core.processes import worker_channel
from mnistkit_export.diagnose import diagnose_layers


def main() -> None:
    """Diagnose the artifacts that the parent names until it closes standard input."""
    with worker_channel() as (jobs, send):
        for job in jobs:
            images = FileImages(Path(job["images"]), tuple(job["shape"]))[:]
            float32, quantized = (files.read_bytes(Path(job[key])) for key in ("float32", "quantized"))
            send({"layers": [asdict(layer) for layer in diagnose_layers(job["format"], float32, quantized, images)]})


if __name__ == "__main__":
    main()
