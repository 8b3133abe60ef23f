"""Train a small Keras network, export it for the edge, prove that nothing was lost, measure it there."""

__version__ = "0.1.0"
