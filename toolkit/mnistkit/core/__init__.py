"""Errors, files, records, processes and progress. Imports nothing from the rest of mnistkit."""
