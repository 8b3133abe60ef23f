"""Data sets: MNIST and its sources, npz and IDX files, sampling."""
