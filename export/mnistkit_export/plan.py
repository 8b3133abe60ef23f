"""What to export, and how."""

from __future__ import annotations

from dataclasses import dataclass

from mnistkit.bundle import CalibrationMethod, Format, Quantization
from mnistkit.core.errors import OptionError
from mnistkit_export.calibration import SAMPLES

ArtifactKind = tuple[Format, Quantization]
CALIBRATED = ("int8", "int16x8")

# What is made unless less is asked for, in this order.
ARTIFACTS: dict[Format, tuple[Quantization, ...]] = {
    "tflite": ("float32", "float16", "dynamic", "int8"),
    "onnx": ("float32", "dynamic", "int8"),
}
# XNNPACK has no kernels for it, so it takes seventy times as long as int8.
ON_REQUEST: dict[Format, tuple[Quantization, ...]] = {"tflite": ("int16x8",), "onnx": ()}


@dataclass(frozen=True)
class ExportOptions:
    """What a user may choose of an export."""

    formats: tuple[str, ...] = ()  # none named: all
    quantizations: tuple[str, ...] = ()  # none named: all but those on request
    labels: tuple[str, ...] = ()  # none named: the classes' numbers
    seed: int = 0  # of the calibration images
    calibration_samples: int = SAMPLES
    calibration_method: CalibrationMethod = "minmax"
    max_drop: float | None = None  # percentage points that int8 may lose; None: any
    optimize: bool = True
    force: bool = False  # replace the bundle that is there

    def artifact_kinds(self) -> list[ArtifactKind]:
        """The artifacts to make; raises OptionError where there are none, or an option has no use."""
        artifact_kinds = [
            (format, quantization)
            for format in ARTIFACTS
            if not self.formats or format in self.formats
            for quantization in ARTIFACTS[format] + (ON_REQUEST[format] if self.quantizations else ())
            if not self.quantizations or quantization in self.quantizations
        ]
        if not artifact_kinds:
            names = " in ".join((*self.formats, *self.quantizations))
            raise OptionError(f"there is no artifact of {names}", "choose another --format or --quantize")
        if self.calibration_method != "minmax" and ("onnx", "int8") not in artifact_kinds:
            raise OptionError(f"only int8 ONNX is calibrated by {self.calibration_method}", "add it, or choose minmax")
        if self.max_drop is not None and not any(quantization == "int8" for _, quantization in artifact_kinds):
            raise OptionError("--max-drop is about int8, which is not asked for", "add --quantize int8")
        return artifact_kinds
