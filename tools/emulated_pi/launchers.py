"""The scripts that start a board's programs under the emulator, as which the board's user knows them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from emulated_pi import boards
from emulated_pi.releases import Release

TOOLS = "cat", "getconf", "nproc", "uname"  # those that tell of the machine; the rest of this one's will do
# What the firmware answers; PI_THROTTLED plants a fault.
VCGENCMD = """#!/bin/bash
case "$*" in
  get_throttled) echo "throttled=${PI_THROTTLED:-0x0}" ;;
  measure_temp) echo "temp=48.3'C" ;;
  "measure_clock arm") echo "frequency(48)=%d" ;;
  *) echo 'error=1 error_msg="Command not registered"' ;;
esac
"""
# The interpreter is started under the script's own name: so sys.executable is the script, and children, virtual
# environments and pip are emulated too, though the kernel knows nothing of other processors' programs.
PYTHON = """#!/bin/bash
unset LD_LIBRARY_PATH
exec {emulator} -0 "$0" {base}/usr/bin/python{python} "$@"
"""
CALL = """#!/bin/bash
exec {program} "$@"
"""
MNISTKIT = """#!/bin/bash
exec {bin}/python3 -P -m mnistkit "$@"
"""
TOOL = """#!/bin/bash
exec {emulator} {base}/usr/bin/{tool} "$@"
"""
# What a login by SSH runs; the server says where the home is.
LOGIN = """#!/bin/bash
cd
case "$SSH_ORIGINAL_COMMAND" in
  *sftp*) exec /usr/lib/openssh/sftp-server ;;
esac
export USER=pi LANG=C.UTF-8 PATH={bin}:/usr/bin:/bin
exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"
"""


def emulator(release: Release, name: str, folder: Path) -> str:
    """The command that a program of that system follows, on that board."""
    return f"{release.emulator}-static -cpu {release.cpu or boards.FACTS[name].cpu} -L {folder / name / 'root'}"


def write(release: Release, name: str, folder: Path, place: Path) -> None:
    """Write those of the board `name` into the userland in `folder`, which is going to be moved to `place`."""
    board, base, bin = folder / name, place / "base", place / name / "bin"
    # Files shared by hard links, and no link to the folder: programs that follow /usr would leave the board by it.
    shutil.copytree(folder / "base", board / "root", symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    for part in ("bin", "home"):
        (board / part).mkdir()
    words = {
        "emulator": emulator(release, name, place),
        "base": base,
        "bin": bin,
        "python": release.python,
    }
    # It lies beside the interpreter, and is called by that name, since Python looks for its library from there: a
    # link in the board's own folder would do, but for virtual environments, which note where the link lies.
    python = f"usr/bin/python3-{name}"
    _script(folder / "base" / python, PYTHON.format(**words))
    for alias in ("python3", f"python{release.python}"):
        _script(board / "bin" / alias, CALL.format(program=base / python))
    for tool in TOOLS:
        _script(board / "bin" / tool, TOOL.format(**words, tool=tool))
    _script(board / "bin" / "mnistkit", MNISTKIT.format(**words))
    _script(board / "bin" / "vcgencmd", VCGENCMD % (boards.FACTS[name].fastest * 1000))
    _script(board / "login", LOGIN.format(**words))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
