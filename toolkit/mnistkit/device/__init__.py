"""The machine that this runs on: its CPU, its runtimes, the wheels that fit it."""
