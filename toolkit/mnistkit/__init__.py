"""Train a small Keras network, export it for the edge, verify accuracy parity, and measure latency."""

__version__ = "0.1.0"
