"""Measures a bundle, and reports its latency or throughput."""

import itertools
import os
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from importlib import metadata

from mnistkit.bench_report import BenchReport, Failure, Measurement, PinnedCpu, Throughput
from mnistkit.bundle import Artifact, Bundle
from mnistkit.core.errors import BenchError, OptionError
from mnistkit.core.interval import Interval
from mnistkit.core.progress import SILENT, Progress
from mnistkit.device.machine import Machine, isolated_cpus, this_machine
from mnistkit.runtimes import runtime_versions
from mnistkit.runtimes.runs import Runs, prepare_runs
from mnistkit_bench import reliability
from mnistkit_bench.deadline import judge_deadline
from mnistkit_bench.jobs import Job, JobResult, Measure, SamplingOptions
from mnistkit_bench.runner import measure
from mnistkit_bench.samples import all_samples, pack
from mnistkit_bench.statistics import summarize


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, and how."""

    sampling: SamplingOptions
    runtimes: tuple[str, ...] = ()  # empty: all installed ones that devices have
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = ()  # batch sizes; measures throughput instead of latency, as does `parallel`
    parallel: tuple[int, ...] = ()  # numbers of sessions side by side
    cpu: int | None = None  # core to run on; None: the kernel chooses
    deadline: float | None = None  # milliseconds
    max_miss: float = 0.0  # share of the inferences that may miss the deadline

    @property
    def measure(self) -> Measure:
        """What to measure."""
        return "throughput" if self.batches or self.parallel else "latency"


def bench(bundle: Bundle, options: BenchOptions, progress: Progress = SILENT) -> BenchReport:
    """Measure the artifacts of a bundle on the named runtimes, or on all installed ones that devices have.

    Measures each of them with each number of threads. A failed measurement is part of the report. Raises the errors of
    `prepare_runs`, BenchError if the processor is emulated, OptionError if the core to run on is not available.
    """
    machine, pinned = measurable_machine(), pinned_cpu(options.cpu)
    if pinned and max(*options.threads, *options.parallel, 1) > 1:
        raise OptionError("several threads on one core only slow each other", "pass --cpu, or --threads or --parallel")
    runs = prepare_runs(bundle, options.runtimes, progress, for_devices=True)
    test_set, measured = bundle.file(bundle.manifest.test_set), (options.measure, options.cpu, bundle.trust_code)
    jobs = {
        Job(bundle.file(artifact), runtime, test_set, *setting, *measured): artifact
        for artifact, runtime in runs.available
        for setting in itertools.product(options.threads, options.batches or (1,), options.parallel or (1,))
    }
    results, monitor = measure(list(jobs), options.sampling, progress)
    succeeded = [result for result in results if not result.failure]
    with progress.task("summarizing", len(succeeded)) as advance:
        measurements, throughputs = tuple[Measurement, ...](), tuple[Throughput, ...]()
        if options.measure == "latency":
            measurements = tuple(_measurement(jobs[result.job], result, options, advance) for result in succeeded)
        else:
            throughputs = mark_best(_throughput(jobs[result.job], result, advance) for result in succeeded)
    return BenchReport(
        bundle_sha256=bundle.manifest_sha256,
        machine=machine,
        pinned=pinned,
        states=tuple(monitor.states),
        unstable=tuple(reliability.machine_warnings(monitor.states, monitor.background_load)),
        measurements=measurements,
        throughputs=throughputs,
        failures=(*failures(results), *unavailable(runs, requested=bool(options.runtimes))),
        versions=runtime_versions(),
        skip_blank=tuple(artifact.file for artifact, _ in runs.available if artifact.skips_blank),
    )


def measurable_machine() -> Machine:
    """This machine; raises BenchError if it is emulated."""
    machine = this_machine()
    if machine.emulated:
        raise BenchError("this processor is emulated, so its latencies are meaningless", "measure on the device")
    return machine


def pinned_cpu(cpu: int | None) -> PinnedCpu | None:
    """The core to run on; raises OptionError if it is not available."""
    if cpu is None:
        return None
    available = sorted(os.sched_getaffinity(0))
    if cpu not in available:
        raise OptionError(f"there is no core {cpu}", f"choose from {', '.join(map(str, available))}")
    return PinnedCpu(cpu, cpu in isolated_cpus())


def _measurement(
    artifact: Artifact, result: JobResult, options: BenchOptions, advance: Callable[[float], None]
) -> Measurement:
    workers, runtime = result.workers, result.job.runtime
    latency, deadline = summarize(result.rounds), options.deadline
    is_steady = all(worker.is_steady for worker in workers)
    advance(1)
    return Measurement(
        artifact=artifact.file,
        runtime=runtime.name,
        threads=result.job.threads,
        batch=result.job.batch,
        parallel=result.job.parallel,
        bytes=artifact.bytes,
        package_bytes=sum(map(package_bytes, runtime.packages)),
        import_ms=_median(worker.cold_start.import_ms for worker in workers),
        load_ms=_median(worker.cold_start.load_ms for worker in workers),
        first_inference_ms=_median(worker.cold_start.first_inference_ms for worker in workers),
        rss_bytes=max(worker.usage.rss_bytes for worker in workers),
        peak_rss_bytes=max(worker.usage.peak_rss_bytes for worker in workers),
        warm_up_seconds=_median(worker.warm_up_seconds for worker in workers),
        latency=latency,
        end_to_end=summarize([worker.end_to_end for worker in workers]),
        deadline=None if deadline is None else judge_deadline(all_samples(result.rounds), deadline, options.max_miss),
        unstable=tuple(reliability.measurement_warnings(latency.idle, is_steady=is_steady)),
        raw=pack(result.rounds),
    )


def _throughput(artifact: Artifact, result: JobResult, advance: Callable[[float], None]) -> Throughput:
    job, per_image = result.job, summarize(result.rounds).observed.p50  # nanoseconds: samples are picoseconds
    advance(1)
    return Throughput(
        artifact=artifact.file,
        runtime=job.runtime.name,
        threads=job.threads,
        batch=job.batch,
        parallel=job.parallel,
        bytes=artifact.bytes,
        images_per_second=_per_second(per_image.value),
        interval=Interval(*map(_per_second, reversed(astuple(per_image.interval)))) if per_image.interval else None,
        best=False,
    )


def _per_second(nanoseconds: float) -> float:
    return round(1e9 / nanoseconds, 1)


def mark_best(rows: Iterable[Throughput]) -> tuple[Throughput, ...]:
    """The rows with the best settings of each artifact and runtime marked."""
    rows, best = tuple(rows), dict[tuple[str, str], float]()
    for row in rows:
        key = row.artifact, row.runtime
        best[key] = max(best.get(key, 0.0), row.images_per_second)
    return tuple(replace(row, best=row.images_per_second == best[row.artifact, row.runtime]) for row in rows)


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def package_bytes(distribution: str) -> int:
    """The installed size of a package; 0 if unknown."""
    try:
        listed = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        return 0
    return sum(file.size or 0 for file in listed)


def failures(results: list[JobResult]) -> Iterator[Failure]:
    """The jobs that could not be measured."""
    for result in results:
        if error := result.failure:
            job = result.job
            yield Failure(
                artifact=job.artifact.name,
                runtime=job.runtime.name,
                threads=job.threads,
                batch=job.batch,
                parallel=job.parallel,
                problem=error.problem,
                remedy=error.remedy,
                skipped=False,
            )


def unavailable(runs: Runs, *, requested: bool) -> Iterator[Failure]:
    """The artifacts that could not run: failures if the user requested their runtime."""
    for row in runs.unavailable:
        yield Failure(
            artifact=row.artifact.file,
            runtime=row.runtime.name,
            threads=1,
            batch=1,
            parallel=1,
            problem=row.error.problem,
            remedy=row.error.remedy,
            skipped=not requested and not row.is_failure,
        )
