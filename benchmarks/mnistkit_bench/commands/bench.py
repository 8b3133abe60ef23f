"""`mnistkit bench`."""

from dataclasses import replace
from pathlib import Path

import click

from mnistkit.cli import options
from mnistkit.cli.exit_codes import ExitCode


class Percentage(click.ParamType[float]):
    """A percentage such as 5%, as a fraction of 1."""

    name = "PERCENT"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The fraction."""
        if isinstance(value, float):
            return value
        try:
            fraction = float(value.removesuffix("%")) / 100
        except ValueError:
            fraction = -1
        if not 0 <= fraction <= 10:
            self.fail(f"{value} is not a percentage from 0% to 1000%.", param, ctx)
        return fraction


@click.command(short_help="Measure the latency or throughput of a bundle on this machine.")
@options.bundle_argument
@options.runtime
@options.trust_code
@options.sampling
@click.option("--batch", "batches", type=options.Counts(), help="Measure the throughput with these batch sizes.")
@click.option("--parallel", type=options.Counts(), help="Measure the throughput of so many sessions side by side.")
@options.cpu
@click.option(
    "--deadline",
    type=options.FiniteRange(0, min_open=True),
    metavar="MS",
    help="Report the share of all inferences that take longer than MS milliseconds.",
)
@click.option("--max-miss", type=Percentage(), default="1%", help="Share that may miss the --deadline.")
@options.strict
@click.option("--compare", "baseline_path", type=options.PATH, metavar="BASELINE", help="Compare with an earlier run.")
@click.option("--fail-over", type=Percentage(), default="5%", help="Slowdown against BASELINE that is a regression.")
@click.option("--across-machines", is_flag=True, help="Compare even if BASELINE was measured on another machine.")
@options.json_file
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    runtimes: tuple[str, ...],
    trust_code: bool,
    seconds: float,
    samples: int | None,
    processes: int | None,
    threads: tuple[int, ...],
    batches: tuple[int, ...] | None,
    parallel: tuple[int, ...] | None,
    cpu: int | None,
    deadline: float | None,
    max_miss: float,
    strict: bool,
    baseline_path: Path | None,
    fail_over: float,
    across_machines: bool,
    json_path: Path | None,
) -> None:
    """Measure the latency or throughput of a bundle's artifacts (build/cnn/bundle by default) on this machine.

    Each artifact runs in several processes, one after the other, with real test images at batch size 1. The artifacts
    are measured in turn, in short rounds, after a warm-up. The idle latency is that of samples that no other load
    slowed or interrupted, the observed latency that of all. Throttling, clock changes and background load are reported.
    With --batch or --parallel, measures throughput instead: images per second, from raw pixels to labels.
    Exit code 1 if an artifact could not be measured, is slower than in BASELINE, or misses the --deadline more often
    than --max-miss; 3 if there are too few samples to decide that; 4 with --strict if a measurement may be unstable.
    """
    from mnistkit.bench_report import MEASURE_AGAIN, BenchReport
    from mnistkit.bundle import open_bundle
    from mnistkit.cli import terminal
    from mnistkit.core import records
    from mnistkit.core.errors import OptionError
    from mnistkit.core.verdict import worst_verdict
    from mnistkit.device.machine import this_machine
    from mnistkit_bench import comparison, tables
    from mnistkit_bench.jobs import SamplingOptions
    from mnistkit_bench.measurements import BenchOptions, bench

    if (batches or parallel) and (deadline or baseline_path):
        raise OptionError(
            "--batch and --parallel measure throughput, which has no --deadline and no --compare",
            "measure latency and throughput one after the other",
        )
    baseline = records.read(baseline_path, BenchReport, MEASURE_AGAIN) if baseline_path else None
    if baseline:
        comparison.check_baseline(baseline, this_machine(), fail_over, across_machines=across_machines)
    sampling = SamplingOptions(seconds, samples, processes)
    bench_options = BenchOptions(sampling, runtimes, threads, batches or (), parallel or (), cpu, deadline, max_miss)
    report = bench(open_bundle(bundle, trust_code=trust_code), bench_options, terminal.Terminal())
    compared = comparison.compare_reports(baseline, report, fail_over) if baseline else None
    report = replace(report, comparison=compared)
    terminal.write_result(report, json_path, *tables.report_output(report))
    verdict = worst_verdict(row.deadline.verdict for row in report.measurements if row.deadline)
    if any(not failure.skipped for failure in report.failures) or (compared and compared.failed) or verdict == "FAIL":
        ctx.exit(ExitCode.CHECK_FAILED)
    if verdict == "INCONCLUSIVE":
        ctx.exit(ExitCode.INCONCLUSIVE)
    ctx.exit(ExitCode.UNSTABLE if strict and report.is_unstable else ExitCode.OK)
