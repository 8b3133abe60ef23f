"""Reads and writes .tflite and .onnx files: metadata, tensors, operators; reads .c files. Converts nothing."""

from mnistkit.bundle import Format
from mnistkit.formats.c_file import CFile
from mnistkit.formats.model_file import ModelFile
from mnistkit.formats.onnx_file import OnnxFile
from mnistkit.formats.tflite_file import TfliteFile

MODEL_FILES: dict[Format, type[ModelFile]] = {"tflite": TfliteFile, "onnx": OnnxFile, "c": CFile}
