"""Loads Keras models from .keras and legacy .h5 files without running code that they contain."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnistkit.core import files
from mnistkit.core.errors import ModelError, one_line
from mnistkit.training.keras_models import MAX_MESSAGE, KerasModel, import_keras

SIGNATURES = {b"PK\x03\x04": ".keras", b"\x89HDF\r\n\x1a\n": ".h5"}  # first bytes of a file
SUFFIXES = {".keras": (".keras",), ".h5": (".h5", ".hdf5")}  # Keras chooses the reader by the suffix
CLASSIFIER = "mnistkit supports image classifiers with one input and one output"
# Options that Keras 2 stored for layers which do not have them, and which Keras 3 refuses.
KERAS_2_LEFTOVERS = {
    "Conv2DTranspose": ("groups",),
    "DepthwiseConv2D": ("groups",),
    "SeparableConv2D": ("groups", "kernel_constraint", "kernel_initializer", "kernel_regularizer"),
}

Config = dict[str, Any]  # a layer or model as Keras stores it


def load(path: Path) -> KerasModel:
    """The Keras model in `path` (.keras or legacy .h5), loaded in safe mode: no code in the file runs.

    Raises StorageError if the file can't be read, ModelError if it is not an image classifier.
    """
    # Checked before Keras is imported, which takes seconds.
    suffix = _check_signature(path)
    keras = import_keras()
    try:
        config = _read_config(path, suffix)
        _check_no_lambda(config, path)
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            source = _without_leftovers(path, config, Path(folder)) if suffix == ".h5" else path
            model = keras.saving.load_model(source, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # Keras raises many types of exception for corrupt files
        message = one_line(error, MAX_MESSAGE)
        raise ModelError(f"cannot load {path}: {message}", "train the model again or save it again") from error
    check_classifier(model, str(path))
    return model


def _check_signature(path: Path) -> str:
    """The suffix of the file's format; raises ModelError if it is not a Keras file, or has another suffix."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise files.storage_error("read", path, error) from error
    suffix = next((suffix for signature, suffix in SIGNATURES.items() if start.startswith(signature)), None)
    if suffix is None:
        raise ModelError(f"{path} is not a .keras or .h5 file", "pass a model that was saved by Keras")
    if path.suffix not in SUFFIXES[suffix]:
        raise ModelError(f"{path} is a {suffix} file with another suffix", f"rename it to end in {suffix}")
    return suffix


def _read_config(path: Path, suffix: str) -> Config:
    """The model's configuration; raises ModelError if there is none, and any exception if the file is corrupt."""
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            content: str | bytes = archive.read("config.json")
    else:
        import h5py

        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise ModelError(f"{path} contains weights without a model", "save the whole model with model.save")
            content = file.attrs["model_config"]
    config: Config = json.loads(content)
    return config


def _configs(value: object) -> Iterator[Config]:
    """The configurations of all layers and models in a JSON value."""
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        for item in value.values():
            yield from _configs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _configs(item)


def _check_no_lambda(config: Config, path: Path) -> None:
    for layer in _configs(config):
        if layer["class_name"] == "Lambda":
            raise ModelError(
                f"layer {layer['config'].get('name')} in {path} is a Lambda layer: it contains Python code, which is "
                "not run, and which no other runtime could run",
                "replace it with a layer of Keras, such as Rescaling, and save the model again",
            )


def _without_leftovers(path: Path, config: Config, folder: Path) -> Path:
    """A copy of the .h5 file without options that only Keras 2 stored; `path` itself if it has none."""
    changed = False
    for layer in _configs(config):
        for name in KERAS_2_LEFTOVERS.get(layer["class_name"], ()):
            if name in layer["config"] and (name != "groups" or layer["config"][name] == 1):
                del layer["config"][name]
                changed = True
    if not changed:
        return path
    import h5py

    copy = folder / path.name
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    return copy


def check_classifier(model: KerasModel, name: str) -> None:
    """Raise ModelError unless the model has one input, an image or its flattened pixels, and one output."""
    if not getattr(model, "built", False) or not hasattr(model, "inputs"):
        raise ModelError(f"{name} has no input shape", "add a keras.Input to the model and save it again")
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            names = ", ".join(str(getattr(tensor, "name", "?")) for tensor in tensors)
            raise ModelError(f"{name} has {len(tensors)} {kind}: {names}", CLASSIFIER)
    input_shape, output_shape = list(model.inputs[0].shape), list(model.outputs[0].shape)
    if not 2 <= len(input_shape) <= 4 or None in input_shape[1:]:
        raise ModelError(
            f"{name} has input shape {input_shape}, which is neither [N, pixels], [N, height, width] nor "
            "[N, height, width, channels]",
            CLASSIFIER,
        )
    if len(output_shape) != 2 or output_shape[1] is None:
        raise ModelError(f"{name} has output shape {output_shape}, not [N, classes]", CLASSIFIER)
