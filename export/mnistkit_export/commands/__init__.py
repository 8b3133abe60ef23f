"""The commands `export`, `inspect` and `diagnose`."""
