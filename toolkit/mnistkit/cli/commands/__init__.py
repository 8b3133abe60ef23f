"""One file a command: options, a call of the library, rendering. No logic."""
