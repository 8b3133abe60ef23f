# Says, before anything is installed, whether this machine can be set up. Run by the Makefile under
# whatever Python the user has, so it is written in the Python that versions 2 and 3 share.
import os
import platform
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "toolkit", "mnistkit", "core"))

import python_versions


def problem(version, machine, bits=64):
    """Why the training side can't be set up here; None where it can."""
    found = "this is Python %d.%d" % version
    oldest, newest = ("%d.%d" % pair for pair in (python_versions.OLDEST, python_versions.NEWEST_FOR_TENSORFLOW))
    remedy = "choose another with 'make PYTHON=python%s'" % newest
    if version < python_versions.OLDEST:
        return "mnistkit needs Python %s or later and %s; %s" % (oldest, found, remedy)
    device = "; to verify and bench a bundle here, 'pip install .[device]' will do"
    if version > python_versions.NEWEST_FOR_TENSORFLOW:
        return "TensorFlow has no wheel for Python after %s and %s; %s%s" % (newest, found, remedy, device)
    if bits < 64:
        machine = "32-bit Python"
    if machine.lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return "TensorFlow has no wheel for %s; train and export on a 64-bit machine%s" % (machine, device)
    return None


if __name__ == "__main__":
    sys.exit(problem(sys.version_info[:2], platform.machine(), sys.maxsize.bit_length() + 1))
