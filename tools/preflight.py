# Checks, before anything is installed, whether this machine can train and export. The Makefile runs it
# with the user's Python, so it is restricted to the syntax that Python 2 and 3 share.
import os
import platform
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "toolkit", "mnistkit", "core"))

import python_versions

DEVICE = "to verify and benchmark bundles on this machine, run 'pip install .[device]'"


def problem(version, machine, bits=64):
    """Why this machine can't train and export, and the fix; None if it can."""
    current, oldest, newest = (
        "%d.%d" % pair for pair in (version, python_versions.OLDEST, python_versions.NEWEST_FOR_TENSORFLOW)
    )
    other_python = "choose another version with 'make PYTHON=python%s'" % newest
    if version < python_versions.OLDEST:
        return "mnistkit needs Python %s or later, and this is Python %s; %s" % (oldest, current, other_python)
    if version > python_versions.NEWEST_FOR_TENSORFLOW:
        reason = "TensorFlow has no wheel for Python later than %s, and this is Python %s" % (newest, current)
        return "%s; %s; %s" % (reason, other_python, DEVICE)
    if bits < 64:
        machine = "32-bit Python"
    if machine.lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return "TensorFlow has no wheel for %s; train and export on a 64-bit machine; %s" % (machine, DEVICE)
    return None


if __name__ == "__main__":
    sys.exit(problem(sys.version_info[:2], platform.machine(), sys.maxsize.bit_length() + 1))
