"""The local machine: its CPU, its runtimes, and the wheels that fit it."""
