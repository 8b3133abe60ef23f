"""Values to what people read: text and rich tables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from mnistkit.bundle import Bundle
    from mnistkit.training import Run
    from mnistkit.verification import Row, VerifyReport
    from mnistkit_bench.results import BenchReport, Measurement

_STYLES = {"PASS": "green", "FAIL": "bold red"}


def kilobytes(count: int) -> str:
    """Bytes in units of 1,000."""
    return f"{count / 1000:,.1f} kB"


def percent(share: float) -> str:
    """A share of 1, such as an accuracy, in percent."""
    return f"{100 * share:.2f}%"


def points(difference: float) -> str:
    """A difference of percentages, signed."""
    return f"{difference:+.2f}"


def microseconds(value: float) -> str:
    """A latency."""
    return f"{value:,.1f}"


def verdict(row: Row) -> str:
    """PASS or FAIL, coloured."""
    return f"[{_STYLES[row.parity.verdict]}]{row.parity.verdict}[/]"


def table(title: str, left: tuple[str, ...], right: tuple[str, ...], caption: str = "") -> Table:
    """An empty table with names in the columns `left` and figures in the columns `right`."""
    grid = Table(
        title=title, caption=caption or None, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left"
    )
    for name in left:
        grid.add_column(name, no_wrap=True)
    for name in right:
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def run_line(run: Run) -> str:
    """What was trained, and what came of it."""
    return (
        f"{run.recipe}: {run.parameters:,} parameters, {run.macs:,} MACs, {run.epochs} epochs on {run.data} "
        f"in {run.training_seconds:.0f} s; test accuracy {percent(run.test_accuracy)} "
        f"(published: {percent(run.published_accuracy)})"
    )


def verify_table(report: VerifyReport) -> Table:
    """One line an artifact and runtime."""
    images = report.rows[0].parity.images if report.rows else 0
    grid = table(
        f"Parity with the original ({percent(report.original_accuracy)}) on {images:,} test images",
        ("artifact", "runtime"),
        ("accuracy", "difference", "agreement", "verdict"),
        f"difference in percentage points; a loss of more than {report.margin:g} fails",
    )
    for row in report.rows:
        parity = row.parity
        figures = percent(parity.accuracy), points(parity.difference), percent(parity.agreement)
        grid.add_row(row.artifact, row.runtime, *figures, verdict(row))
    return grid


def bench_table(report: BenchReport) -> Table:
    """One line a measurement."""
    machine = report.machine
    grid = table(
        f"Latency on {machine.cpu}, {machine.architecture}",
        ("artifact", "runtime"),
        ("p50 µs", "p90 µs", "p99 µs", "samples", "import ms", "load ms", "size"),
        "one inference at batch 1, one thread, the runtime's call alone",
    )
    for row in report.measurements:
        grid.add_row(row.artifact, row.runtime, *_latency(row), kilobytes(row.bytes))
    return grid


def _latency(row: Measurement) -> tuple[str, ...]:
    latency = row.latency
    return (
        *map(microseconds, (latency.p50, latency.p90, latency.p99)),
        f"{latency.samples:,}",
        f"{row.import_ms:.1f}",
        f"{row.load_ms:.1f}",
    )


def summary_table(verified: VerifyReport, measured: BenchReport) -> Table:
    """One line an artifact and runtime: is it right, how fast is it, how large is it."""
    grid = table("", ("artifact", "runtime"), ("size", "accuracy", "difference", "verdict", "p50 µs", "p99 µs"))
    measurements = {(row.artifact, row.runtime): row for row in measured.measurements}
    for row in verified.rows:
        measurement = measurements.get((row.artifact, row.runtime))
        size = kilobytes(measurement.bytes) if measurement else ""
        latency = _latency(measurement) if measurement else ("", "", "")
        accuracy = percent(row.parity.accuracy), points(row.parity.difference)
        grid.add_row(row.artifact, row.runtime, size, *accuracy, verdict(row), latency[0], latency[2])
    return grid


def bundle_table(bundle: Bundle) -> Table:
    """One line an artifact."""
    grid = table(f"Bundle {bundle.path}", ("artifact", "input", "output", "oldest runtime"), ("size",))
    for artifact in bundle.manifest.artifacts:
        tensors = artifact.input.dtype, artifact.output.dtype
        grid.add_row(artifact.file, *tensors, artifact.oldest_runtime, kilobytes(artifact.bytes))
    return grid
