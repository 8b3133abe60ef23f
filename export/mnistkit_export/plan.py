"""The options of an export, and the artifacts that they select."""

from dataclasses import dataclass

from mnistkit.bundle import CalibrationMethod, Format, Quantization, Target
from mnistkit.core.errors import OptionError
from mnistkit_export.calibration import SAMPLES
from mnistkit_export.preprocessing import AUTO, PreprocessingOptions

ArtifactKind = tuple[Format, Quantization]
C_SOURCE: ArtifactKind = ("tflite", "int8")  # C is generated from this file
CALIBRATED = ("int8", "int16x8")

# Exported by default, in this order.
DEFAULT_QUANTIZATIONS: dict[Format, tuple[Quantization, ...]] = {
    "tflite": ("float32", "float16", "dynamic", "int8"),
    "onnx": ("float32", "dynamic", "int8"),
    "c": ("int8",),
}
# Exported only if requested: XNNPACK has no kernels for int16x8, which makes it 70 times as slow as int8.
EXTRA_QUANTIZATIONS: dict[Format, tuple[Quantization, ...]] = {"tflite": ("int16x8",), "onnx": (), "c": ()}


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export."""

    formats: tuple[Format, ...] = ()  # empty: all
    quantizations: tuple[Quantization, ...] = ()  # empty: the default ones
    labels: tuple[str, ...] = ()  # class names; empty: the class numbers
    seed: int = 0  # of the calibration images
    calibration_samples: int = SAMPLES
    calibration_method: CalibrationMethod = "minmax"  # of int8 ONNX
    max_drop: float | None = None  # accuracy drop of int8, in percentage points; None: no limit
    preprocessing: PreprocessingOptions = AUTO
    accept_accuracy: bool = False  # export even if the accuracy, or the data set, is not what was expected
    optimize: bool = True
    targets: tuple[Target, ...] = ()  # processors to compile the C for
    skip_blank: bool = True  # let the C skip blank parts of images where that pays
    profile: bool = False  # add the artifacts cut after each layer
    force: bool = False  # replace an existing bundle

    def artifact_kinds(self) -> list[ArtifactKind]:
        """The artifacts to export. Raises OptionError if there are none, or options contradict each other."""
        self.preprocessing.check()
        artifact_kinds = [
            (format, quantization)
            for format, defaults in DEFAULT_QUANTIZATIONS.items()
            if not self.formats or format in self.formats
            for quantization in (defaults + EXTRA_QUANTIZATIONS[format] if self.quantizations else defaults)
            if not self.quantizations or quantization in self.quantizations
        ]
        if not artifact_kinds:
            requested = ", ".join((*self.formats, *self.quantizations))
            raise OptionError(f"no artifact matches {requested}", "choose another --format or --quantize")
        if self.calibration_method != "minmax" and ("onnx", "int8") not in artifact_kinds:
            raise OptionError(
                f"--calibration-method {self.calibration_method} applies only to int8 ONNX, which is not exported",
                "export int8 ONNX too, or use minmax",
            )
        if self.max_drop is not None and not any(quantization == "int8" for _, quantization in artifact_kinds):
            raise OptionError("--max-drop applies only to int8, which is not exported", "add --quantize int8")
        if self.targets and ("c", "int8") not in artifact_kinds:
            raise OptionError("--target applies only to C, which is not exported", "add --format c and --quantize int8")
        return artifact_kinds

    def is_requested(self, format: Format) -> bool:
        """Whether the export counts as incomplete without the artifacts of a format.

        C is made for few operators, so that by default it is left out if it can't be generated.
        """
        return format != "c" or "c" in self.formats or bool(self.targets)
