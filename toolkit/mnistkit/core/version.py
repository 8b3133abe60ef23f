"""The version of mnistkit."""

__version__ = "0.1.0"
