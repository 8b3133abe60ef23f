"""Measures the time of each layer: the difference between two prefixes of an artifact, measured in turn."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistkit import profile_graphs
from mnistkit.bench_report import Failure, PinnedCpu
from mnistkit.bundle import Artifact, ArtifactOnRuntime, Bundle
from mnistkit.core import files, records
from mnistkit.core.errors import BundleError
from mnistkit.core.interval import Interval
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device.machine import Machine
from mnistkit.profile_graphs import ArtifactGraphs, Prefix
from mnistkit.runtimes import Runtime, match_runtimes, runtime_versions
from mnistkit_bench import reliability
from mnistkit_bench.jobs import Job, JobResult, SamplingOptions
from mnistkit_bench.measurements import failures, measurable_machine, pinned_cpu
from mnistkit_bench.runner import measure
from mnistkit_bench.samples import SamplesByProcess, all_samples, idle_samples, pool
from mnistkit_bench.statistics import bootstrap, confidence_interval

REFERENCE_IMAGES = 8


@dataclass(frozen=True)
class LayerTime:
    """The time that a layer adds to an inference."""

    layer: str
    operators: tuple[str, ...]
    macs: records.Count
    microseconds: float  # difference of two idle p50; may be negative if it is small
    interval: Interval | None  # 95% CI; None with too few idle samples
    share: float  # of the whole inference


@dataclass(frozen=True)
class ArtifactProfile(ArtifactOnRuntime):
    """The time of an artifact on a runtime by layer. The first layer includes the call of the runtime."""

    microseconds: records.NonNegative  # idle p50 of the whole inference
    macs: records.Count
    reference_macs_per_second: records.NonNegative  # of large convolutions of the same kind on this runtime
    layers: tuple[LayerTime, ...]


@dataclass(frozen=True)
class ProfileReport(records.Record, schema="profile", version=1):
    """The result of `profile`."""

    bundle_sha256: str
    machine: Machine
    pinned: PinnedCpu | None  # None: the kernel chose the cores
    unstable: tuple[str, ...]  # reasons why all measurements may be unstable
    artifacts: tuple[ArtifactProfile, ...]
    failures: tuple[Failure, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class ProfileOptions:
    """What to profile, and how."""

    sampling: SamplingOptions
    artifacts: tuple[str, ...] = ()  # names; empty: all
    runtimes: tuple[str, ...] = ()  # empty: all installed ones that devices have
    cpu: int | None = None  # core to run on; None: the kernel chooses


def profile(bundle: Bundle, options: ProfileOptions, progress: Progress = SILENT) -> ProfileReport:
    """Measure the layers of the artifacts of a bundle that was exported with `--profile`.

    Artifacts in C are left out. Raises BundleError if it was not or an artifact is unknown, and the errors of `bench`.
    """
    machine, pinned = measurable_machine(), pinned_cpu(options.cpu)
    selected = _select(bundle, options.artifacts)
    profiles, failed, warnings = list[ArtifactProfile](), list(_whole_only(selected)), dict[str, None]()
    layered = [artifact for artifact in selected if artifact.format != "c"]
    if not layered:
        raise BundleError(failed[0].problem, failed[0].remedy)
    pairs = match_runtimes(layered, options.runtimes, for_devices=True)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        folder = Path(name)
        graphs = {row.artifact: row for row in profile_graphs.extract(bundle, folder).artifacts}
        for artifact, runtime in pairs:
            row = graphs.get(artifact.file)
            if row is None or not row.prefixes:
                raise BundleError(f"{bundle.path} has no graphs of {artifact.file}", profile_graphs.EXPORT_AGAIN)
            results, monitor = measure(_jobs(bundle, row, runtime, folder, options.cpu), options.sampling, progress)
            warnings |= dict.fromkeys(reliability.machine_warnings(monitor.states, monitor.background_load))
            failed += failures(results)
            if not any(result.failure for result in results):
                profiles.append(_profile(row, runtime, results))
    return ProfileReport(
        bundle_sha256=bundle.manifest_sha256,
        machine=machine,
        pinned=pinned,
        unstable=tuple(warnings),
        artifacts=tuple(profiles),
        failures=tuple(failed),
        versions=runtime_versions(),
    )


def _select(bundle: Bundle, names: tuple[str, ...]) -> list[Artifact]:
    artifacts = bundle.manifest.artifacts
    known = [artifact.file for artifact in artifacts]
    if unknown := [name for name in names if name not in known]:
        raise BundleError(f"{bundle.path} has no artifact {unknown[0]}", f"choose from {', '.join(known)}")
    return [artifact for artifact in artifacts if artifact.file in names or not names]


def _whole_only(artifacts: list[Artifact]) -> Iterator[Failure]:
    """The artifacts whose layers can't be measured."""
    for artifact in artifacts:
        if artifact.format == "c":
            problem = f"{artifact.file} is one function, whose layers can't be measured one by one"
            yield Failure(artifact.file, "c", 1, 1, 1, problem, "measure it with 'mnistkit bench'", skipped=True)


def _jobs(bundle: Bundle, graphs: ArtifactGraphs, runtime: Runtime, folder: Path, cpu: int | None) -> list[Job]:
    """A job for each prefix, and one for the reference convolution."""
    test_set, reference = bundle.file(bundle.manifest.test_set), graphs.reference
    images = np.random.default_rng(0).integers(0, 256, (REFERENCE_IMAGES, *reference.image_shape), np.uint8)
    random_images = folder / "reference.npz"
    files.write_npz(random_images, {"images_00000": images})
    jobs = [Job(folder / prefix.file, runtime, test_set, cpu=cpu) for prefix in graphs.prefixes]
    return [*jobs, Job(folder / reference.file, runtime, random_images, cpu=cpu)]


def _profile(graphs: ArtifactGraphs, runtime: Runtime, results: list[JobResult]) -> ArtifactProfile:
    samples = [idle_samples(result.rounds) or all_samples(result.rounds) for result in results]
    *medians, reference = (float(np.median(pool(view))) / 1000 for view in samples)
    total, before = medians[-1], [0.0, *medians]
    layers = []
    for number, prefix in enumerate(graphs.prefixes):
        added = medians[number] - before[number]
        interval = _interval_of_difference(samples[number - 1] if number else None, samples[number], number)
        layers.append(_layer_time(prefix, added, interval, total))
    return ArtifactProfile(
        artifact=graphs.artifact,
        runtime=runtime.name,
        microseconds=round(total, 3),
        macs=sum(prefix.macs for prefix in graphs.prefixes),
        reference_macs_per_second=round(graphs.reference.macs / reference * 1e6),
        layers=tuple(layers),
    )


def _layer_time(prefix: Prefix, microseconds: float, interval: Interval | None, total: float) -> LayerTime:
    share = round(microseconds / total, 4)
    return LayerTime(prefix.layer, prefix.operators, prefix.macs, round(microseconds, 3), interval, share)


def _interval_of_difference(before: SamplesByProcess | None, after: SamplesByProcess, seed: int) -> Interval | None:
    """The 95% CI of the difference of the medians in microseconds; None with too few processes or rounds."""
    resampled = bootstrap(after, (50,), 2 * seed)
    if resampled is None:
        return None
    if before is None:
        return confidence_interval(resampled[0] / 1000, len(after))
    resampled_before = bootstrap(before, (50,), 2 * seed + 1)
    if resampled_before is None:
        return None
    return confidence_interval((resampled[0] - resampled_before[0]) / 1000, min(len(before), len(after)))
