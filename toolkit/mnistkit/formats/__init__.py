"""Reads and writes .tflite and .onnx files. Converts nothing."""
