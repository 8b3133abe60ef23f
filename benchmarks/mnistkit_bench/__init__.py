"""Measures inference latency on the machine that it runs on."""
