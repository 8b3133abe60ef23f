"""Tables for `export`, `inspect` and `diagnose`."""

from collections import Counter
from collections.abc import Mapping

from rich.table import Table

from mnistkit.bundle import (
    Artifact,
    Bundle,
    ConversionInfo,
    File,
    Manifest,
    ModelInfo,
    Preprocessing,
    Provenance,
    Tensor,
)
from mnistkit.cli.tables import kilobytes, percent, table
from mnistkit.cli.tables.remarks import reason_lines
from mnistkit_export.diagnose import ArtifactReport
from mnistkit_export.inspection import Inspection

Rows = dict[str, str]


def bundle_metadata(bundle: Bundle) -> list[Table]:
    """The provenance of a bundle, then the metadata of each artifact."""
    manifest = bundle.manifest
    artifacts = [
        _grid(_file(artifact) | _conversion(artifact) | _model(artifact) | _libraries(artifact))
        for artifact in manifest.artifacts
    ]
    return [_grid(_provenance(manifest.provenance)), *artifacts]


def file_metadata(inspection: Inspection) -> Table:
    """The metadata of a file outside a bundle."""
    metadata = inspection.metadata
    stored = {"metadata": "none: not exported by mnistkit"}
    if metadata:
        stored = _provenance(metadata.provenance) | _conversion(metadata.conversion)
    return _grid(_file(inspection.file) | stored | _model(inspection.model))


def _grid(rows: Rows) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, value)
    grid.add_row("", "")
    return grid


def _preprocessing(preprocessing: Preprocessing) -> str:
    """Such as "standardize inverted: mean 33.3, deviation 78.6"."""
    values = {"mean": preprocessing.mean, "deviation": preprocessing.std}
    text = ", ".join(
        f"{name} {' '.join(f'{value:g}' for value in numbers)}" for name, numbers in values.items() if numbers
    )
    return f"{preprocessing}: {text}" if text else str(preprocessing)


def _file(file: File) -> Rows:
    return {"file": f"{file.file}, {file.bytes:,} bytes", "SHA-256": file.sha256}


def _provenance(provenance: Provenance) -> Rows:
    source, calibration = provenance.source_model, provenance.calibration
    size = f"{source.parameters:,} parameters, {source.macs:,} MACs"
    rows = {
        "source model": f"{source.name}, {size}, accuracy {percent(source.accuracy)}",
        "source model SHA-256": source.sha256,
        "data": provenance.data,
        "data SHA-256": provenance.data_sha256,
        "labels": ", ".join(provenance.labels),
        "preprocessing": _preprocessing(provenance.preprocessing),
        "changes": "; ".join(provenance.changes) or "none",
    }
    if calibration:
        excluded = f", {calibration.excluded:,} test images excluded" if calibration.excluded else ""
        rows["calibration"] = f"{calibration.samples:,} training images, seed {calibration.seed}{excluded}"
        rows["calibration SHA-256"] = f"{calibration.indices_sha256} of the image indices"
    return rows


def _conversion(conversion: ConversionInfo) -> Rows:
    size = f"{conversion.parameters:,} parameters, {conversion.macs:,} MACs"
    rows = {"quantization": f"{conversion.quantization}, {size}"}
    if conversion.calibration_method:
        rows["calibration method"] = conversion.calibration_method
    if control := conversion.accuracy_control:
        rows["accuracy control"] = (
            f"drop {control.drop:.2f} percentage points (at most {control.max_drop:g}) on {control.images:,} images; "
            f"float layers: {', '.join(control.float_layers) or 'none'}"
        )
    return rows | {"tool versions": _versions(conversion.tool_versions)}


def _model(info: ModelInfo) -> Rows:
    counts = Counter(info.operators)
    return {
        "input": _tensor(info.input),
        "output": _tensor(info.output),
        "operators": ", ".join(f"{count}× {kind}" for kind, count in counts.items()),
        "requires": _versions(info.requires) or "unknown",
    }


def _libraries(artifact: Artifact) -> Rows:
    return {
        f"library for {row.target}": f"{row.file}, {row.bytes:,} bytes, {row.compiler}" for row in artifact.libraries
    }


def _tensor(tensor: Tensor) -> str:
    shape = "×".join("N" if size is None else str(size) for size in tensor.shape)
    scale = "" if tensor.scale is None else f", scale {tensor.scale:g}, zero point {tensor.zero_point}"
    return f"{tensor.name}, {tensor.dtype} {shape}{scale}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def diagnosis_table(report: ArtifactReport) -> Table:
    """The quantization error of each layer."""
    columns = "activation SNR", "saturated", "weight SNR", "cumulative SNR", "cosine", "max error"
    grid = table(report.artifact, ("layer", "operator"), columns, "SNR in dB")
    for layer in report.layers:
        cumulative = layer.cumulative
        grid.add_row(
            layer.layer,
            layer.operator,
            _decibels(layer.activation_snr_db),
            percent(cumulative.saturated),
            _decibels(layer.weights.snr_db if layer.weights else None),
            _decibels(cumulative.snr_db) or "exact",
            f"{cumulative.cosine:.4f}",
            f"{cumulative.max_error:.3g}",
        )
    return grid


def _decibels(snr_db: float | None) -> str:
    return "" if snr_db is None else f"{snr_db:.1f}"


def bundle_table(bundle: Bundle) -> Table:
    """The artifacts of a bundle."""
    grid = table(f"Bundle {bundle.path}", ("artifact", "input", "output", "oldest runtime"), ("kB",))
    for artifact in bundle.manifest.artifacts:
        dtypes = artifact.input.dtype, artifact.output.dtype
        grid.add_row(artifact.file, *dtypes, _oldest_runtime(artifact), kilobytes(artifact.bytes))
    return grid


def not_exported_lines(manifest: Manifest) -> list[str]:
    """One line for each reason why artifacts were not exported."""
    failures = ((artifact.file, f"{artifact.problem}; {artifact.remedy}") for artifact in manifest.not_exported)
    return [f"not exported: {line}" for line in reason_lines(failures)]


def _oldest_runtime(info: ModelInfo) -> str:
    return " ".join(next(iter(info.requires.items()), ("unknown",)))
