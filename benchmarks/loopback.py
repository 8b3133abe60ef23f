"""Simulated boards: SSH servers on this machine, each with its own port, host key and home folder.

Used by fleet.py and by the tests, which put emulated boards behind some of them. The user's own SSH configuration, keys
and known hosts are neither read nor changed.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from mnistkit.device import wheelhouse as device_wheelhouse

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = "sshd is not installed: apt install openssh-server"
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd needs this folder if root starts it
START_TIMEOUT = 20  # seconds
CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
SERVER_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {authorized_keys}
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
SetEnv HOME={home} PIP_NO_COMPILE=1
{login}"""
CLIENT_CONFIG = """\
Host *
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
"""


@dataclass
class Board:
    """An SSH server that accepts connections while it is switched on."""

    name: str
    folder: Path
    port: int
    server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def home(self) -> Path:
        """The home folder of every user who logs in."""
        return self.folder / "home"

    @property
    def install_folder(self) -> Path:
        """The folder that mnistkit installs everything in."""
        return self.home / ".local/share/mnistkit"

    def switch_on(self) -> None:
        """Start the server, and wait until it accepts connections."""
        self.server = subprocess.Popen(
            [str(SSHD), "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "log")],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._accepts_connections():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def cut_power(self) -> None:
        """Kill the server and all processes on the board."""
        if self.server:
            for pid in [*_descendants(self.server.pid), self.server.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.server.wait()
            self.server = None

    def is_running(self, command: str) -> bool:
        """Whether the command line of a process on the board contains `command`."""
        return self.server is not None and any(command in _command_line(pid) for pid in _descendants(self.server.pid))

    def copy_installation(self, source: Self) -> None:
        """Link everything that mnistkit installed on another board."""
        shutil.copytree(source.install_folder, self.install_folder, symlinks=True, copy_function=os.link)

    def _accepts_connections(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass(frozen=True)
class Network:
    """Boards, and the SSH client's configuration to reach them."""

    folder: Path
    boards: dict[str, Board]

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make Ansible use this network's SSH configuration, and share no connection with others."""
        return {
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {self.folder / 'config'}",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible/tmp"),
        }

    def add(self, name: str, *, known: bool = True, accepts_key: bool = True, login: Path | None = None) -> Board:
        """Add a board that is switched off.

        With `known`, its host key is in known_hosts; with `accepts_key`, the client can log in. `login` is a program
        that runs instead of each command, which it receives as SSH_ORIGINAL_COMMAND.
        """
        board = Board(name, self.folder / name, _free_port())
        board.home.mkdir(parents=True)
        _make_key(board.folder / "host_key")
        server_config = SERVER_CONFIG.format(
            port=board.port,
            folder=board.folder,
            authorized_keys=self.folder / "key.pub" if accepts_key else board.folder / "no-keys",
            home=board.home,
            login=f"ForceCommand {login}\n" if login else "",
        )
        (board.folder / "sshd_config").write_text(server_config)
        entry = f"Host {name}\n  HostName 127.0.0.1\n  Port {board.port}\n  HostKeyAlias {name}\n"
        client_config = self.folder / "config"
        client_config.write_text(entry + client_config.read_text())
        if known:
            self.add_known_host(name, board.folder / "host_key.pub")
        self.boards[name] = board
        return board

    def add_known_host(self, name: str, public_key: Path) -> None:
        """Add a host key to known_hosts."""
        with (self.folder / "known_hosts").open("a") as file:
            file.write(f"{name} {public_key.read_text()}")


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A network without boards; those that are added are switched off at the end."""
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _make_key(folder / "key")
    (folder / "known_hosts").touch()
    (folder / "config").write_text(CLIENT_CONFIG.format(user=getpass.getuser(), folder=folder))
    boards: dict[str, Board] = {}
    try:
        yield Network(folder, boards)
    finally:
        for board in boards.values():
            board.cut_power()


def wheelhouse(folder: Path, extra: str = "device") -> Path:
    """Download the wheels of mnistkit's dependencies, for this machine, so that boards need no internet."""
    requirements, _ = device_wheelhouse.requirements(replace(device_wheelhouse.TARGETS["pi5"], extra=extra))
    options = "--quiet", "--only-binary=:all:", "--constraint", CONSTRAINTS, "--dest", folder
    subprocess.run([sys.executable, "-m", "pip", "download", *map(str, options), *requirements], check=True)
    return folder


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)  # noqa: S607


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # the process has ended
        return
    for child in map(int, children):
        yield from _descendants(child)
        yield child


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # the process has ended
        return ""
