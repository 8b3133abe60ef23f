"""Which versions of what made a result."""

from __future__ import annotations

import platform


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of the named packages that are installed."""
    from importlib import metadata  # brings the parsing of e-mail, and a runtime's process needs no version

    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
