"""The scripts that start a board's programs under the emulator, with the names that they have on a board."""

import os
import shutil
from pathlib import Path

from emulated_pi import specs
from emulated_pi.releases import Release

TOOLS = "cat", "getconf", "nproc", "uname"  # those whose output depends on the machine; the host's others are used
# The firmware's tool. PI_THROTTLED injects a fault.
VCGENCMD = """#!/bin/bash
case "$*" in
  get_throttled) echo "throttled=${PI_THROTTLED:-0x0}" ;;
  measure_temp) echo "temp=48.3'C" ;;
  "measure_clock arm") echo "frequency(48)=%d" ;;
  *) echo 'error=1 error_msg="Command not registered"' ;;
esac
"""
# -0 makes the script's own name sys.executable, so child processes, virtual environments and pip are emulated too,
# although the kernel does not hand programs of other architectures to QEMU.
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
# The forced command of the SSH server, which sets HOME.
LOGIN = """#!/bin/bash
cd
case "$SSH_ORIGINAL_COMMAND" in
  *sftp*) exec /usr/lib/openssh/sftp-server ;;
esac
export USER=pi LANG=C.UTF-8 PATH={bin}:/usr/bin:/bin
exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"
"""


def emulator_command(release: Release, name: str, folder: Path) -> str:
    """The command, without the program, that emulates the board `name` of the userland in `folder`."""
    cpu = release.cpu or specs.SPECS[name].cpu
    return f"{release.emulator}-static -cpu {cpu} -L {folder / name / 'root'}"


def write_launchers(release: Release, name: str, folder: Path, destination: Path) -> None:
    """Write the scripts of the board `name` into the userland in `folder`, which is later moved to `destination`."""
    board, base, bin = folder / name, destination / "base", destination / name / "bin"
    # Hard links to the files instead of a symbolic link to the folder: programs that resolve /usr would leave the root.
    shutil.copytree(folder / "base", board / "root", symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    for part in ("bin", "home"):
        (board / part).mkdir()
    values = {
        "emulator": emulator_command(release, name, destination),
        "base": base,
        "bin": bin,
        "python": release.python,
    }
    # The script is in the interpreter's folder and called by its path there, because Python searches for its library
    # from that folder. A symbolic link in the board's folder would not do: virtual environments record its folder.
    python = f"usr/bin/python3-{name}"
    _write_script(folder / "base" / python, PYTHON.format(**values))
    for alias in ("python3", f"python{release.python}"):
        _write_script(board / "bin" / alias, CALL.format(program=base / python))
    for tool in TOOLS:
        _write_script(board / "bin" / tool, TOOL.format(**values, tool=tool))
    _write_script(board / "bin" / "mnistkit", MNISTKIT.format(**values))
    _write_script(board / "bin" / "vcgencmd", VCGENCMD % (specs.SPECS[name].max_khz * 1000))
    _write_script(board / "login", LOGIN.format(**values))


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
