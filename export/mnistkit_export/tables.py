"""What `inspect` and `diagnose` find, to what people read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from mnistkit.cli.tables import kilobytes, percent, table

if TYPE_CHECKING:
    from mnistkit.bundle import Bundle, ConversionInfo, File, ModelInfo, Provenance, Tensor
    from mnistkit_export.diagnose import ArtifactReport
    from mnistkit_export.inspection import Inspection

Facts = dict[str, str]


def bundle_facts(bundle: Bundle) -> list[Table]:
    """Where a bundle comes from, then what each artifact is."""
    manifest = bundle.manifest
    artifacts = (_facts(_file(entry) | _making(entry) | _contents(entry)) for entry in manifest.artifacts)
    return [_facts(_provenance(manifest.provenance)), *artifacts]


def file_facts(found: Inspection) -> Table:
    """What a lone file is, and where it comes from."""
    facts = _file(found.file)
    if found.metadata:
        facts |= _provenance(found.metadata.provenance) | _making(found.metadata.conversion)
    else:
        facts |= {"papers": "none: mnistkit did not make it"}
    return _facts(facts | _contents(found.model))


def _facts(facts: Facts) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(name, fact)
    grid.add_row("", "")
    return grid


def _file(file: File) -> Facts:
    return {"file": f"{file.file}, {file.bytes:,} bytes", "SHA-256": file.sha256}


def _provenance(provenance: Provenance) -> Facts:
    original, calibration = provenance.source_model, provenance.calibration
    size = f"{original.parameters:,} parameters, {original.macs:,} MACs"
    facts = {
        "original": f"{original.name}, {size}, accuracy {percent(original.accuracy)}",
        "its SHA-256": original.sha256,
        "data": provenance.data,
        "their SHA-256": provenance.data_sha256,
        "labels": ", ".join(provenance.labels),
        "changes": "; ".join(provenance.changes) or "none",
    }
    if calibration:
        refused = f", {calibration.excluded:,} refused for standing in the test set" if calibration.excluded else ""
        facts["calibration"] = f"{calibration.samples:,} training images, seed {calibration.seed}{refused}"
        facts["of indices"] = f"SHA-256 {calibration.indices_sha256}"
    return facts


def _making(making: ConversionInfo) -> Facts:
    facts = {"made as": f"{making.quantization}, {making.parameters:,} parameters, {making.macs:,} MACs"}
    if making.calibration_method:
        facts["ranges by"] = making.calibration_method
    if control := making.accuracy_control:
        spared = ", ".join(control.float_layers) or "nothing"
        facts["control"] = (
            f"loses {control.drop:.2f} of {control.max_drop:g} points on {control.images:,} images; in float: {spared}"
        )
    return facts | {"made with": _versions(making.tool_versions)}


def _contents(contents: ModelInfo) -> Facts:
    counts = Counter(contents.operators)
    return {
        "input": _tensor(contents.input),
        "output": _tensor(contents.output),
        "operators": ", ".join(f"{count}× {kind}" for kind, count in counts.items()),
        "requires": _versions(contents.requires) or "unknown",
    }


def _tensor(tensor: Tensor) -> str:
    shape = "×".join("N" if size is None else str(size) for size in tensor.shape)
    scale = "" if tensor.scale is None else f", scale {tensor.scale:g}, zero point {tensor.zero_point}"
    return f"{tensor.name}, {tensor.dtype} {shape}{scale}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def diagnosis_table(report: ArtifactReport) -> Table:
    """One line a layer."""
    figures = "stored, dB", "clipped", "weights, dB", "all in all, dB", "cosine", "largest error"
    grid = table(report.artifact, ("layer", "operator"), figures)
    for layer in report.layers:
        damage, weights = layer.activations, layer.weights
        own = (
            _decibels(layer.activation_snr_db),
            percent(damage.clipped),
            _decibels(weights.snr_db if weights else None),
        )
        all_in_all = _decibels(damage.snr_db) or "exact", f"{damage.cosine:.4f}", f"{damage.max_error:.3g}"
        grid.add_row(layer.layer, layer.operator, *own, *all_in_all)
    return grid


def _decibels(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}"


def bundle_table(bundle: Bundle) -> Table:
    """One line an artifact."""
    grid = table(f"Bundle {bundle.path}", ("artifact", "input", "output", "oldest runtime"), ("kB",))
    for artifact in bundle.manifest.artifacts:
        tensors = artifact.input.dtype, artifact.output.dtype
        grid.add_row(artifact.file, *tensors, oldest_runtime(artifact), kilobytes(artifact.bytes))
    return grid


def oldest_runtime(contents: ModelInfo) -> str:
    """The first of what is required: the runtime."""
    return " ".join(next(iter(contents.requires.items()), ("unknown",)))
