"""The record that `bench` writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mnistkit import records
from mnistkit.machine import Machine
from mnistkit_bench.statistics import Latency


@dataclass(frozen=True)
class Measurement:
    """One artifact on one runtime, batch 1."""

    artifact: str
    runtime: str
    threads: int
    bytes: int
    import_ms: float  # the runtime's import
    load_ms: float  # opening the artifact
    first_ms: float  # the first inference
    latency: Latency


@dataclass(frozen=True)
class BenchReport(records.Record):
    """What `bench` measured, on what."""

    schema: ClassVar[str] = "bench"
    version: ClassVar[int] = 1

    bundle_sha256: str  # of its manifest, which vouches for the rest
    machine: Machine
    measurements: tuple[Measurement, ...]
    versions: dict[str, str]
