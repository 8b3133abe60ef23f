"""Tables and charts of `profile`."""

from rich.table import Table

from mnistkit.cli.tables import microseconds, table
from mnistkit.cli.tables.remarks import failure_line, unstable_line
from mnistkit_bench.profile import ArtifactProfile, LayerTime, ProfileReport
from mnistkit_bench.tables import title


def tables(report: ProfileReport) -> list[Table]:
    """A table for each artifact and runtime."""
    return [_table(profile, report) for profile in report.artifacts]


def _table(profile: ArtifactProfile, report: ProfileReport) -> Table:
    best = profile.reference_macs_per_second
    grid = table(
        title(f"{profile.name}: {microseconds(profile.microseconds)} µs", report),
        ("layer", "operators"),
        ("MACs", "µs", "±", "share", "GMAC/s", "of best"),
        "µs: what the layer adds to the idle p50, with the call of the runtime in the first; ±: half of its 95% CI\n"
        f"of best: of the {best / 1e9:.1f} GMAC/s of large convolutions on this runtime",
    )
    for layer in profile.layers:
        rate = _rate(layer)
        grid.add_row(
            layer.layer,
            ", ".join(dict.fromkeys(layer.operators)),
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.microseconds:.2f}",
            f"{layer.interval.half_width:.2f}" if layer.interval else "unknown",
            f"{round(layer.share, 3) + 0.0:.1%}",
            f"{rate / 1e9:.1f}" if rate else "",
            f"{rate / best:.0%}" if rate else "",
        )
    whole = 1e6 * profile.macs / profile.microseconds
    cells = (
        f"{profile.macs:,}",
        f"{profile.microseconds:.2f}",
        "",
        "100.0%",
        f"{whole / 1e9:.1f}",
        f"{whole / best:.0%}",
    )
    grid.add_row("all", "", *cells)
    return grid


def _rate(layer: LayerTime) -> float | None:
    """MACs per second; None without MACs, or if the time is too small to be measured."""
    return 1e6 * layer.macs / layer.microseconds if layer.macs and layer.microseconds > 0 else None


def remarks(report: ProfileReport) -> list[str]:
    """Why measurements may be unstable, and what was not measured."""
    return [*map(unstable_line, report.unstable), *map(failure_line, report.failures)]


def bars(report: ProfileReport) -> dict[str, dict[str, tuple[float, float]]]:
    """The microseconds of each layer and half of their 95% CI, by artifact and runtime."""
    return {
        f"{profile.name}: {microseconds(profile.microseconds)} µs": {
            layer.layer: (
                layer.microseconds,
                layer.interval.half_width if layer.interval else 0.0,
            )
            for layer in profile.layers
        }
        for profile in report.artifacts
    }
